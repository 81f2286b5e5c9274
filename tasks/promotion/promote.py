"""Make an image the latest of its family."""

from typing import TYPE_CHECKING

from catalog.errors import IllegalTransition, InvalidRequest, PromotionRefused
from catalog.log import events
from catalog.records import Action, Evidence, Family, Image, Plan, Promotion
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.promotion.gates import failed, reaches
from catalog.rules.promotion.history import channel_of, why_not
from tasks.promotion.evidence import evidence_of, seen
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

OPERATION = "promote"
BOOT, INSIDE, CHANGES = "boot", "inside", "changes"


@task(task_run_name="look what {image_id} has to prove", **retrying())
def still_to_see(image_id: str, family: str, account: str) -> tuple[Family, frozenset[str]]:
    """Return the family, and the evidence it requires that is still missing for an image: a boot check, an inspection.

    Raises FamilyNotFound, ImageNotFound, IllegalTransition, InvalidRequest.
    """
    with open_resources() as (_, catalog):
        rules, image = promotable(catalog, image_id, family, account)
        known = seen(catalog, image, by_person=True)
    asked = {
        BOOT: rules.boot_check != "none" and (known.boot is None or not reaches(known.boot, rules)),
        INSIDE: rules.hygiene != "off" and image.image_type == "System" and known.contents is None,
    }
    return rules, frozenset(name for name, missing in asked.items() if missing)


@task(task_run_name="find what {image_id} follows", **retrying())
def latest_to_compare(image_id: str, family: str, account: str, *, by_person: bool = True) -> Image | None:
    """Return the present latest image, for comparison with the build that is about to replace it.

    None if there is none, the family inspects no images, or a gate is not passed yet: a waiting build would be compared
    again and again. Raises as `promote`.
    """
    with open_resources() as (_, catalog):
        rules, image = promotable(catalog, image_id, family, account)
        channel = catalog.channel(family, channel_of(image))
        latest = known_image(catalog, channel.image_id) if channel and channel.image_id else None
        looks = rules.hygiene != "off" and image.image_type == "System"
        if not looks or latest is None or latest.id == image_id:
            return None
        return None if failed(evidence_of(catalog, rules, image, by_person=by_person)) else latest


@task(task_run_name="promote {image_id} in {family}", **retrying())
def promote(
    image_id: str, family: str, reason: str, account: str, *, by_person: bool = True, changes: str = ""
) -> Promotion:
    """Make an image the latest of its family if it passes the gates, all in one transaction. Idempotent.

    changes: how it differs from the previous latest, kept with the evidence. Raises FamilyNotFound, ImageNotFound,
    IllegalTransition, InvalidRequest, PromotionRefused.
    """
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        rules, image = promotable(change, image_id, family, account)
        channel = change.channel(family, channel_of(image))
        if channel is not None and channel.image_id == image_id:
            return tuple(change.promotions(family, channel.cpu_architecture))[-1]
        evidence = evidence_of(change, rules, image, by_person=by_person)
        if refused := failed(evidence):
            raise PromotionRefused(image_id, family, {one.gate: one.sentence for one in refused})
        if image.family is None:
            image = change.save_image(image.model_copy(update={"family": family}), event=events.IMAGE_EDITED)
        if changes:
            evidence += (Evidence(gate=CHANGES, passed=True, sentence=changes),)
        promotion = change.promote(family, image, reason, evidence)
    emit(events.FAMILY_PROMOTED, image, family=family, previous=promotion.previous, reason=reason)
    return promotion


@task(task_run_name="plan to promote {image_id} in {family}", **retrying())
def plan_promotion(image_id: str, family: str, account: str) -> Plan:
    """Return each gate's verdict on an image, and the present latest. Changes nothing. Raises as `promote`."""
    with open_resources() as (_, catalog):
        rules, image = promotable(catalog, image_id, family, account)
        evidence = evidence_of(catalog, rules, image, by_person=True)
        channel = catalog.channel(family, channel_of(image))
    now = channel.image_id if channel and channel.image_id else "nothing"
    actions = [
        Action(verb="pass" if one.passed else "refuse", subject=f"gate:{one.gate}", reason=one.sentence)
        for one in evidence
    ]
    if not failed(evidence):
        moved = f"the latest of {family} for {channel_of(image)}, which is {now}"
        actions.append(Action(verb="promote", subject=f"image:{image_id}", reason=moved))
    summary = f"{len(evidence) - len(failed(evidence))} of {len(evidence)} gates passed"
    return Plan(operation=OPERATION, actions=tuple(actions), summary=summary)


def promotable(catalog: "Reading", image_id: str, family: str, account: str) -> tuple[Family, Image]:
    """Return an image, and the family that it is or could be a build of.

    Raises FamilyNotFound, ImageNotFound, InvalidRequest, IllegalTransition if the image can't be the latest of any
    family.
    """
    require_admin(account, OPERATION)
    rules, image = catalog.family(family), catalog.image(image_id, account=account)
    if image.family not in (None, family):
        raise InvalidRequest(
            "image_id", image_id, f"an image of family {family!r}, or of none; this is of {image.family!r}"
        )
    if reason := why_not(image):
        raise IllegalTransition(
            f"image {image_id}", reason, OPERATION, ("Ready", "enabled", "neither deprecated nor recalled")
        )
    return rules, image

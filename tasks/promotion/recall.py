"""Recall an image: forbid new uses, roll families back, and name its users."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.errors import InvalidRequest
from catalog.log import events
from catalog.records import Action, Image, ImageStatus, Plan, Promotion, Recalled, RecallReport
from catalog.rules.accounts.sharing import require_admin
from tasks.promotion.descent import Found
from tasks.promotion.descent import descendants as by_chips
from tasks.promotion.rollback import step_back, tell
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading

OPERATION = "recall images"


@task(task_run_name="recall {image_id}", **retrying())
def recall(image_id: str, reason: str, account: str, *, descendants: bool) -> RecallReport:
    """Recall an image, with all consequences in one transaction. Idempotent. Raises ImageNotFound, InvalidRequest."""
    with open_resources() as (settings, catalog):
        require_admin(account, OPERATION)
        kin = by_chips(catalog, settings, image_id)  # it reads manifests: not in the transaction, which blocks others
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        found = _concerned(change, image_id, account, descendants, kin)
        images = tuple(_recalled(change, image, why, reached, reason) for image, why, reached in found)
        gone = [one.image_id for one in images if one.outcome == "recalled"]
        rolled_back = tuple(p for one in gone for p in _without(change, one, f"recalled: {reason}"))
        told = [known for one in gone if (known := known_image(change, one)) is not None]
        left = [(p, known) for p in rolled_back if (known := known_image(change, p.previous or "")) is not None]
    for image in told:
        emit(events.FAMILY_RECALLED, image, family=image.family, reason=reason)
    tell(left)
    return RecallReport(image_id=image_id, reason=reason, images=images, rolled_back=rolled_back, unread=kin.unread)


@task(task_run_name="plan to recall {image_id}", **retrying())
def plan_recall(image_id: str, account: str, *, descendants: bool) -> Plan:
    """Return what would be recalled, what would only be named, which families would roll back, and the users.

    Changes nothing.
    """
    with open_resources() as (settings, catalog):
        require_admin(account, OPERATION)
        kin = by_chips(catalog, settings, image_id)
        actions: list[Action] = []
        for image, why, reached in _concerned(catalog, image_id, account, descendants, kin):
            users = used_by(catalog, image)
            told = f"{why}; used by {', '.join(users)}" if users else why
            actions.append(Action(verb="recall" if reached else "name", subject=f"image:{image.id}", reason=told))
            for channel in catalog.channels(image_id=image.id) if reached else ():
                subject = f"family:{channel.family}@{channel.cpu_architecture}"
                actions.append(Action(verb="roll back", subject=subject, reason=f"{image.name} is its latest"))
    summary = "; ".join((f"{len(actions)} steps", *(f"not looked at: {said}" for said in kin.unread)))
    return Plan(operation=OPERATION, actions=tuple(actions), summary=summary)


def used_by(catalog: "Reading", image: Image, *, caches: bool = True) -> tuple[str, ...]:
    """Name the existing volumes and exports of an image. caches: name cached copies too."""
    volumes = (f"volume {v.name} of {v.owner} on {v.primary_storage}" for v in catalog.volumes(image_id=image.id))
    exports = (f"export {e.path}" for e in catalog.exports(image.id))
    found = catalog.cached_images(image_id=image.id) if caches else ()
    cached = (f"cache of {c.primary_storage}" for c in found)
    return (*volumes, *exports, *cached)


def _concerned(
    catalog: "Reading", image_id: str, account: str, descendants: bool, kin: Found
) -> Sequence[tuple[Image, str, bool]]:
    """Return the image and its descendants, each with the reason and whether the recall includes it."""
    image = catalog.image(image_id, account=account)
    if image.status in (ImageStatus.CREATING, ImageStatus.DOWNLOADING):
        raise InvalidRequest("image_id", image_id, "an image that is there; one that is arriving can be deleted")
    declared = {one.id: (one, f"made of {one.parent}", descendants) for one in catalog.made_of(image_id)}
    by_their_chips = [one for name in kin.how if (one := known_image(catalog, name)) is not None]
    below = [made for one in by_their_chips for made in catalog.made_of(one.id)]
    found = {one.id: (one, kin.how[one.id], descendants) for one in by_their_chips}
    further = {one.id: (one, f"made of {one.parent}", descendants) for one in below}
    return [(image, "asked for", True), *({**further, **found, **declared}.values())]


def _recalled(change: "Change", image: Image, why: str, reached: bool, reason: str) -> Recalled:
    users = used_by(change, image)
    if not reached:
        return Recalled(image_id=image.id, name=image.name, outcome="named", reason=why, used_by=users)
    if image.recalled is not None:
        return Recalled(image_id=image.id, name=image.name, outcome="already recalled", reason=why, used_by=users)
    said = reason if why == "asked for" else f"{reason} ({why})"
    after = image.model_copy(update={"state": "Disabled", "recalled": said})
    change.save_image(after, event=events.FAMILY_RECALLED)
    return Recalled(image_id=image.id, name=image.name, outcome="recalled", reason=said, used_by=users)


def _without(change: "Change", image_id: str, reason: str) -> Sequence[Promotion]:
    """Roll back every family whose latest is this image."""
    return [step_back(change, channel, reason) for channel in tuple(change.channels(image_id=image_id))]

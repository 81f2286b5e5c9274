"""Change an image's record on behalf of an account: check rights and transition, then one transaction and one event."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound
from catalog.records import Action, Image, Plan
from catalog.rules.accounts.sharing import ADMIN, require_owner
from catalog.rules.images.transitions import After, status_after
from tasks.runtime.batches import Outcomes, all_done, for_each
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


Decide = Callable[[Image], Image]
"""Returns the changed image, or the same one if nothing changes. Pure: it may be called again."""


def owned(catalog: "Reading", image_id: str, account: str, operation: str) -> Image:
    """Return an image that the account may change.

    Raises AccessDenied, or ImageNotFound if the account may not even see it.
    """
    image = catalog.image(image_id, account=account)
    require_owner(image, catalog.viewer(account), operation)
    return image


def allowed(catalog: "Reading", image_id: str, account: str, operation: str) -> tuple[Image, After]:
    """Return an image on which the account may run an operation, and its status afterwards.

    Raises IllegalTransition, and as `owned`.
    """
    image = owned(catalog, image_id, account, operation)
    return image, status_after(image, operation)


def ended(catalog: "Reading", image_id: str, account: str) -> Image:
    """Return an image's last record before it was deleted: a deletion that is started again is done then.

    Raises ImageNotFound if the log has no such deletion, or the image did not belong to the account.
    """
    last = None
    for event in catalog.events(subject=f"image:{image_id}"):
        last = last if event.note else event
    if last is None or last.before is None or last.after is not None:
        raise ImageNotFound(image_id)
    image = Image.model_validate(last.before)
    if account not in (ADMIN, image.owner):
        raise ImageNotFound(image_id)
    return image


def change_image(
    catalog: "Catalog", image_id: str, account: str, operation: str, event: str, decide: Decide
) -> tuple[Image, bool]:
    """Apply an operation of the transition table; return the image, and whether it changed.

    Raises ImageNotFound, AccessDenied, IllegalTransition and what `decide` raises.
    """
    with changing(catalog, account) as change:
        image, status = allowed(change, image_id, account, operation)
        after = decide(image).model_copy(update={"status": status or image.status})
        return (image, False) if after == image else (change.save_image(after, event=event), True)


def plan_each(image_ids: Sequence[str], operation: str, plan_one: Callable[[str], Sequence[Action]]) -> Plan:
    """Return the plan of an operation over several images; a refusal is an action with its reason."""
    ids = tuple(dict.fromkeys(image_ids))
    outcomes: Outcomes[Sequence[Action]] = for_each(ids, plan_one)
    if not outcomes.done:
        all_done(operation, outcomes)
    refused = [
        Action(verb="refuse", subject=f"image:{image_id}", reason=str(error))
        for image_id, error in outcomes.failed.items()
    ]
    actions = (*(action for part in outcomes.done for action in part), *refused)
    summary = f"{operation}: {len(outcomes.done)} of {len(ids)} images"
    return Plan(operation=operation, actions=actions, summary=summary)


def plan_change(image: Image, after: Image, verb: str) -> tuple[Action, ...]:
    """Return the plan of a change to the record alone: one action, or none."""
    before, now_ = image.model_dump(mode="json"), after.model_dump(mode="json")
    changed = [f"{name} {before[name]!r} → {now_[name]!r}" for name in now_ if before[name] != now_[name]]
    return (Action(verb=verb, subject=f"image:{image.id}", reason=", ".join(changed)),) if changed else ()


@task(task_run_name="find image {image_id}", **retrying())
def find_image(image_id: str, account: str) -> Image:
    """Return an image that the account may see. Raises ImageNotFound."""
    with open_resources() as (_, catalog):
        return catalog.image(image_id, account=account)

"""Set who sees an image besides its owner."""

from prefect.logging import get_logger

from catalog.log import events
from catalog.records import Image, Plan, SharingMode
from catalog.rules.accounts.sharing import grantees, shared
from tasks.images.changes import allowed, change_image, owned, plan_change
from tasks.runtime.batches import all_done, for_each
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

OPERATION = "set sharing mode"
log = get_logger("imagewright.share")


@task(task_run_name="share {image_id}: {mode}", **retrying())
def share(
    image_id: str, account: str, mode: SharingMode, accounts: tuple[str, ...], projects: tuple[str, ...]
) -> Image:
    """Set the sharing and return the image. It holds for new uses at once; existing uses continue."""
    with open_resources() as (_, catalog):

        def one(image_id: str) -> Image:
            decide = lambda image: shared(image, mode, accounts, projects)  # noqa: E731
            before = owned(catalog, image_id, account, OPERATION)
            image, changed = change_image(catalog, image_id, account, OPERATION, events.IMAGE_SHARED, decide)
            if changed:
                emit(events.IMAGE_SHARED, image, mode=mode, accounts=list(accounts), projects=list(projects))
            lost = sorted(grantees(before) - grantees(image))
            if lost and mode != "global":
                log.warning("%s is no longer shared with %s", image.name, ", ".join(lost))
            return image

        (image,) = all_done(OPERATION, for_each([image_id], one))
    return image


@task(task_run_name="plan sharing of {image_id}", **retrying())
def plan_share(
    image_id: str, account: str, mode: SharingMode, accounts: tuple[str, ...], projects: tuple[str, ...]
) -> Plan:
    """Return what a new sharing would change. Changes nothing."""
    with open_resources() as (_, catalog):
        image, _ = allowed(catalog, image_id, account, OPERATION)
        actions = plan_change(image, shared(image, mode, accounts, projects), "share")
    return Plan(operation=OPERATION, actions=actions, summary=f"share {image.name}: {mode}")

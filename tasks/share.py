"""Set who sees an image besides its owner."""

from prefect import task

from catalog.records import Image, Plan, SharingMode
from catalog.rules.sharing import shared
from catalog.rules.transitions import status_after
from tasks.changing import change_image, owned, plan_change
from tasks.each import all_done, each
from tasks.resources import open_resources

OPERATION = "set sharing mode"


@task(task_run_name="share {image_id}: {mode}")
def share(
    image_id: str, account: str, mode: SharingMode, accounts: tuple[str, ...], projects: tuple[str, ...]
) -> Image:
    """Return the image with its new sharing; it holds for new uses at once, uses already made live on."""
    with open_resources() as (_, catalog):

        def one(image_id: str) -> Image:
            decide = lambda image: shared(image, mode, accounts, projects)  # noqa: E731
            return change_image(catalog, image_id, account, OPERATION, "imagewright.image.shared", decide)[0]

        (image,) = all_done(OPERATION, each([image_id], one))
    return image


@task(task_run_name="plan sharing of {image_id}")
def plan_share(
    image_id: str, account: str, mode: SharingMode, accounts: tuple[str, ...], projects: tuple[str, ...]
) -> Plan:
    """Return what a new sharing would change. Changes nothing."""
    with open_resources() as (_, catalog):
        image = owned(catalog, image_id, account, OPERATION)
        status_after(image, OPERATION)
        actions = plan_change(image, shared(image, mode, accounts, projects), "share")
    return Plan(operation=OPERATION, actions=actions, summary=f"share {image.name}: {mode}")

"""Edit an image's record."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prefect import task

from catalog.records import Action, Image, Plan
from catalog.rules.editing import check_expiry, edited
from catalog.rules.transitions import status_after
from tasks.changing import change_image, now, owned, plan_change, plan_each
from tasks.each import all_done, each
from tasks.resources import open_resources

if TYPE_CHECKING:
    from catalog.repository import Catalog

ONLY_PROTECTION = {"protected"}


@task(task_run_name="edit {image_id}")
def edit(image_id: str, account: str, asked: Mapping[str, object]) -> Image:
    """Return the image with the fields asked for. Raises InvalidRequest, ImageNotFound, AccessDenied, IllegalTransition."""
    with open_resources() as (_, catalog):
        outcomes = each([image_id], lambda i: _edited(catalog, i, account, asked))
    (image,) = all_done("edit", outcomes)
    return image


def _edited(catalog: "Catalog", image_id: str, account: str, asked: Mapping[str, object]) -> Image:
    check_expiry(asked, now())
    image, _ = change_image(
        catalog, image_id, account, _operation(asked), "imagewright.image.edited",
        lambda image: edited(image, asked, lambda i: catalog.image(i, account=account)),
    )  # fmt: skip
    return image


def _operation(asked: Mapping[str, object]) -> str:
    given = {name for name, value in asked.items() if value is not None}
    return "protect" if given == ONLY_PROTECTION else "edit"


@task(task_run_name="plan edit of {image_id}")
def plan_edit(image_id: str, account: str, asked: Mapping[str, object]) -> Plan:
    """Return which fields an edit would change. Changes nothing."""
    with open_resources() as (_, catalog):

        def plan_one(image_id: str) -> tuple[Action, ...]:
            check_expiry(asked, now())
            image = owned(catalog, image_id, account, _operation(asked))
            status_after(image, _operation(asked))
            after = edited(image, asked, lambda i: catalog.image(i, account=account))
            return plan_change(image, after, "edit")

        return plan_each([image_id], "edit image", plan_one)

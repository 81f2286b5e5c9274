"""Edit an image's record."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from catalog.log import events
from catalog.records import Action, Image, Plan
from catalog.rules.images.editing import check_expiry, edited
from tasks.images.changes import allowed, change_image, plan_change, plan_each
from tasks.runtime.batches import all_done, for_each
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

ONLY_PROTECTION = {"protected"}


@task(task_run_name="edit {image_id}", **retrying())
def edit(image_id: str, account: str, asked: Mapping[str, object]) -> Image:
    """Set the requested fields and return the image.

    Raises InvalidRequest, ImageNotFound, AccessDenied, IllegalTransition.
    """
    with open_resources() as (_, catalog):
        outcomes = for_each([image_id], lambda i: _edited(catalog, i, account, asked))
    (image,) = all_done("edit", outcomes)
    return image


def _edited(catalog: "Catalog", image_id: str, account: str, asked: Mapping[str, object]) -> Image:
    check_expiry(asked, catalog.now())
    image, changed = change_image(
        catalog,
        image_id,
        account,
        _operation(asked),
        events.IMAGE_EDITED,
        lambda image: edited(image, asked, lambda i: catalog.image(i, account=account)),
    )
    if changed:
        emit(events.IMAGE_EDITED, image, fields=sorted(n for n, value in asked.items() if value is not None))
    return image


def _operation(asked: Mapping[str, object]) -> str:
    given = {name for name, value in asked.items() if value is not None}
    return "protect" if given == ONLY_PROTECTION else "edit"


@task(task_run_name="plan edit of {image_id}", **retrying())
def plan_edit(image_id: str, account: str, asked: Mapping[str, object]) -> Plan:
    """Return which fields an edit would change. Changes nothing."""
    with open_resources() as (_, catalog):

        def plan_one(image_id: str) -> tuple[Action, ...]:
            check_expiry(asked, catalog.now())
            image, _ = allowed(catalog, image_id, account, _operation(asked))
            after = edited(image, asked, lambda i: catalog.image(i, account=account))
            return plan_change(image, after, "edit")

        return plan_each([image_id], "edit image", plan_one)

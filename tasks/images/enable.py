"""Enable or disable images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.log import events
from catalog.records import Action, Image, Plan, State
from tasks.images.changes import allowed, change_image, plan_change, plan_each
from tasks.runtime.batches import Outcomes, for_each
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

OPERATION: dict[State, str] = {"Enabled": "enable", "Disabled": "disable"}


@task(task_run_name="set images {state}", **retrying())
def set_state(image_ids: Sequence[str], account: str, state: State) -> Outcomes[Image]:
    """Enable or disable each image; one already in that state is left unchanged."""
    operation = OPERATION[state]
    event = events.IMAGE_ENABLED if state == "Enabled" else events.IMAGE_DISABLED
    with open_resources() as (_, catalog):

        def one(image_id: str) -> Image:
            image, changed = change_image(catalog, image_id, account, operation, event, lambda i: with_state(i, state))
            if changed:
                emit(events.IMAGE_ENABLED if state == "Enabled" else events.IMAGE_DISABLED, image)
            return image

        return for_each(image_ids, one)


def with_state(image: Image, state: State) -> Image:
    """Return the image in the given state. Enabling a recalled image lifts the recall."""
    return image.model_copy(update={"state": state, **({"recalled": None} if state == "Enabled" else {})})


@task(task_run_name="plan to set images {state}", **retrying())
def plan_state(image_ids: Sequence[str], account: str, state: State) -> Plan:
    """Return which images would change. Changes nothing."""
    with open_resources() as (_, catalog):
        return plan_each(image_ids, OPERATION[state], lambda i: _plan_one(catalog, i, account, state))


def _plan_one(catalog: "Catalog", image_id: str, account: str, state: State) -> tuple[Action, ...]:
    image, _ = allowed(catalog, image_id, account, OPERATION[state])
    return plan_change(image, with_state(image, state), OPERATION[state])

"""Enable or disable images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task

from catalog.records import Action, Image, Plan, State
from catalog.rules.transitions import status_after
from tasks.changing import change_image, owned, plan_change, plan_each
from tasks.each import Outcomes, each
from tasks.resources import open_resources

if TYPE_CHECKING:
    from catalog.repository import Catalog

OPERATION: dict[State, str] = {"Enabled": "enable", "Disabled": "disable"}


@task(task_run_name="set images {state}")
def set_state(image_ids: Sequence[str], account: str, state: State) -> Outcomes[Image]:
    """Give each image the state; one that has it already is left as it is."""
    operation = OPERATION[state]
    event = f"imagewright.image.{state.lower()}"
    with open_resources() as (_, catalog):

        def one(image_id: str) -> Image:
            decide = lambda image: image.model_copy(update={"state": state})  # noqa: E731
            return change_image(catalog, image_id, account, operation, event, decide)[0]

        return each(image_ids, one)


@task(task_run_name="plan to set images {state}")
def plan_state(image_ids: Sequence[str], account: str, state: State) -> Plan:
    """Return which images would change. Changes nothing."""
    with open_resources() as (_, catalog):
        return plan_each(image_ids, OPERATION[state], lambda i: _plan_one(catalog, i, account, state))


def _plan_one(catalog: "Catalog", image_id: str, account: str, state: State) -> tuple[Action, ...]:
    image = owned(catalog, image_id, account, OPERATION[state])
    status_after(image, OPERATION[state])
    return plan_change(image, image.model_copy(update={"state": state}), OPERATION[state])

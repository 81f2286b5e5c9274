"""What happens to an image when its run ends other than by its own code."""

from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging import get_logger

from catalog.errors import ImageBusy
from tasks.add.failure import withdraw, worked_on
from tasks.runtime.locks import image_lock
from tasks.runtime.runs.server import added_image

log = get_logger("imagewright.hooks")


def withdraw_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001  # Prefect calls by these names
    """Leave nothing behind when a person cancels an add. Runs in the worker's process, after the run's has ended.

    An image that it never began, or that another run works on by now, is not its own. Should the worker die here, recover_runs goes on.
    """
    image_id = added_image(flow_run.parameters, str(flow_run.id))
    if image_id is not None:
        withdraw_image(image_id, str(flow_run.id))


def withdraw_image(image_id: str, run: str) -> None:
    """Withdraw an image that a cancelled run was bringing in; one that it never began, or that another has by now, stays."""
    if not worked_on(image_id, run):
        return
    try:
        with image_lock(image_id):
            withdraw(image_id)
    except ImageBusy as error:
        log.warning("nothing is withdrawn: %s", error)

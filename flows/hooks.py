"""What happens to an image when its run ends other than by its own code."""

from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from tasks.fail import withdraw


def withdraw_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001  # Prefect calls by these names
    """Leave nothing behind when a person cancels an add. Runs in the worker's process, after the run's has ended."""
    request = flow_run.parameters["request"]
    named = request.get("image_id") if isinstance(request, dict) else request.image_id
    withdraw(named or str(flow_run.id))

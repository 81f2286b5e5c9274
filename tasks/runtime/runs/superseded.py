"""Detect that another process has taken over this run: this one was unreachable, taken for dead, and is back."""

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, PrefectException
from prefect.logging import get_logger

OURS = (StateType.CANCELLING, StateType.CANCELLED, StateType.PAUSED)
"""States set by others that this process still has to carry out."""
log = get_logger("imagewright.superseded")


def abort_if_superseded(error: Exception) -> None:
    """Raise Abort, which leaves the run's state unchanged, if another process has taken over this run.

    error: with which this process ends. It has lost its locks, so the error says nothing about the run.
    """
    if _is_superseded():
        log.warning("this run was taken up elsewhere meanwhile; here it ended with: %s", error)
        raise Abort("the run was taken up elsewhere") from error


def _is_superseded() -> bool:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or run.state is None:
        return False
    try:
        with get_client(sync_client=True) as client:
            now = client.read_flow_run(run.id).state
    except (httpx.HTTPError, PrefectException):  # no server to ask: the process ends with its own error
        return False
    return now is not None and now.id != run.state.id and now.type not in OURS

"""Whether a run goes on elsewhere: its process was taken for dead while nobody could reach it, and comes back."""

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, PrefectException
from prefect.logging import get_logger

OURS = (StateType.CANCELLING, StateType.CANCELLED, StateType.PAUSED)
"""States that somebody else gives a run which this process still has to end."""
log = get_logger("imagewright.superseded")


def abort_if_superseded(error: Exception) -> None:
    """Raise Abort, which leaves the run's state as it is, where another process has taken the run up since this one began.

    error: what this process ends with. It lost what it held, so the error says nothing about the run.
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
    except (httpx.HTTPError, PrefectException):  # nobody to ask: it ends as it would have
        return False
    return now is not None and now.id != run.state.id and now.type not in OURS

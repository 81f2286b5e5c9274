"""Check that the scheduled recovery of dead runs still happens: if it fails, all other schedules fail unnoticed too."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from prefect.exceptions import PrefectException

from tasks.runtime.runs.server import server_now

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LATE = timedelta(minutes=10)
"""The recovery is scheduled every minute."""


def recovery_overdue(name: str) -> str | None:
    """Return a sentence if no scheduled recovery was completed for ten minutes, by the server's clock; else None.

    name: of the recovering flow, and of its deployment. Returns None too if the server does not answer or has no such
    deployment: callers report that in another way.
    """
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            age = server_now(client) - _last(client, name)
    except (PrefectException, httpx.HTTPError, ValueError, RuntimeError):
        return None
    return sentence(name, age) if age > LATE else None


def sentence(name: str, age: timedelta) -> str:
    """Return a sentence that says for how long no recovery was completed, what that means and where to look."""
    minutes = int(age.total_seconds() // 60)
    return (
        f"no {name} was completed for {minutes} minutes: runs whose process died are not started again, and nothing that "
        "is scheduled may run; see whether a worker serves the pool 'images' and the server's scheduler is on"
    )


def _last(client: "SyncPrefectClient", name: str) -> datetime:
    """Return when the newest recovery was completed, else when its deployment was created. Raises ObjectNotFound."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    done = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.COMPLETED]))
    found = client.read_flow_runs(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[name])),
        flow_run_filter=filters.FlowRunFilter(state=done),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    if found and found[0].end_time is not None:
        return found[0].end_time
    created = client.read_deployment_by_name(f"{name}/{name}").created
    return created or server_now(client)

"""Current runs of operations, from the Prefect server."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from catalog.records import SignedIn
from console.entrance.run_visibility import sees_run
from console.starting import GLANCE_S, UNREACHABLE, run_page
from flows.registry import OPERATIONS
from flows.server.client import prefect_client

NOW = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING]
MOST = 12


@dataclass(frozen=True, slots=True)
class Running:
    """A current run. title: of its operation; about: its subject, e.g. a name; page: in the Prefect UI."""

    title: str
    about: str
    state: str
    since: datetime | None
    page: str


async def running_now(who: SignedIn) -> tuple[Running, ...] | None:
    """Return the runs that a visitor sees, newest first; None if the server does not answer."""
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=NOW)))
    try:
        async with asyncio.timeout(GLANCE_S), prefect_client() as client:
            runs = await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=100)
            seen = [run for run in runs if sees_run(who, run)][:MOST]
            ids = [run.flow_id for run in seen]
            flows = await client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=ids))) if ids else []
    except (*UNREACHABLE, ValueError):  # ValueError: no server is configured
        return None
    names = {flow.id: flow.name.replace("-", "_") for flow in flows}
    return tuple(_told(run, names[run.flow_id]) for run in seen if names.get(run.flow_id) in OPERATIONS)


def _told(run: FlowRun, flow: str) -> Running:
    request = run.parameters.get("request")
    about = (
        request.get("name") or request.get("image_id") or request.get("image_storage")
        if isinstance(request, dict)
        else ""
    )
    state = run.state.name if run.state and run.state.name else "Pending"
    return Running(OPERATIONS[flow].title, str(about or ""), state, run.start_time, run_page(run.id))

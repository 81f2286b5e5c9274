"""Hand a run over to the host that reaches its bytes: queue the same request there, and bring the result back.

A waiting run occupies no worker slot: a deployment's run is rescheduled, and woken by the run that does the work. So
two hosts that hand runs to each other never block each other's slots. A direct call, which no worker could resume,
waits in its process.
"""

import time
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, Pause

from catalog.errors import HostAway, RunLost, StorageElsewhere
from catalog.records import RunOutcome
from tasks.hosts.outcomes import Result, unpacked
from tasks.hosts.routing import Route
from tasks.runtime.resources import open_resources
from tasks.runtime.runs import handed as handed_runs
from tasks.runtime.runs import server as runs
from tasks.runtime.runs.waiting import Waiting

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from pydantic import BaseModel

LOOK_S = 0.5
AGAIN_S = 30.0
"""A rescheduled run is woken by the other one; should that fail, it looks by itself after so long."""
BACK_S = 10.0


def this_run() -> "FlowRun | None":
    """Return the current flow run."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


def was_handed_over() -> bool:
    """Tell whether another host's run created this one, to wait for its result or to have this host do its part."""
    run = this_run()
    return run is not None and handed_runs.HANDED in run.tags


def handed_over(deployment: str, request: "BaseModel", route: Route) -> Result:
    """Have the route's host do the request and return its result. deployment: name of the flow and its deployment.

    Raises the error of that host's run; HostAway if the host takes no runs and patience is over; StorageElsewhere if
    there is no Prefect server to ask it through.
    """
    waiting = Waiting(getattr(request, "patience_s", None))
    return unpacked(waiting.through(lambda: _asked(deployment, request, route)))


def part_handed(deployment: str, request: "BaseModel", host: str) -> str:
    """Start another host's part of an upkeep without waiting for it; return a sentence that says what was done."""
    with open_resources() as (_, catalog):
        if away := catalog.why_away(host):
            return f"its part waits: {away}"
    asked = request.model_copy(update={"host": host})
    try:
        with get_client(sync_client=True) as client:
            other = handed_runs.hand(
                client, deployment, asked.model_dump(mode="json", exclude_unset=True), host, this_run()
            )
    except (ObjectNotFound, ValueError):
        return (
            "it has to do its part itself: there is no Prefect server with deployments through which it could be asked"
        )
    return f"it does its part as run {other.id}"


def put_back(reason: str) -> None:
    """Put this run back in the queue for another worker: this host may not do it."""
    run = this_run()
    if run is None or run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        state = runs.put_off(client, run.id, BACK_S, f"{runs.WAITING}{reason}")
    if state is not None:
        raise Pause(state=state)


def _asked(deployment: str, request: "BaseModel", route: Route) -> RunOutcome:
    host, run = str(route.host), this_run()
    with open_resources() as (settings, catalog):
        away = catalog.why_away(host)
    with get_client(sync_client=True) as client:
        if away and not handed_runs.is_handed(client, host, run):
            raise HostAway(host, away, route.places)
        try:
            asked = _named(request, run).model_dump(mode="json", exclude_unset=True)
            other = handed_runs.hand(client, deployment, asked, host, run)
        except (ObjectNotFound, ValueError) as error:
            raise StorageElsewhere(route.name, host, settings.host_name, kind=route.kind) from error
        return _brought(client, other, route, run)


def _named(request: "BaseModel", run: "FlowRun | None") -> "BaseModel":
    """Use the original run's id as the image's id of an add: callers look for the image by that id."""
    if run is None or getattr(request, "image_id", "") is not None:
        return request
    return request.model_copy(update={"image_id": str(run.id)})


def _brought(client: "SyncPrefectClient", other: "FlowRun", route: Route, run: "FlowRun | None") -> RunOutcome:
    """Wait for the other run's outcome and return it."""
    while True:
        with open_resources() as (_, catalog):
            outcome, away = catalog.run_outcome(str(other.id)), catalog.why_away(str(route.host))
        if outcome is not None:
            return outcome
        ended = handed_runs.how_it_ended(client, other.id)
        if ended:
            raise RunLost(str(other.id), ended)
        _wait(client, other, route, run, away)


def _wait(client: "SyncPrefectClient", other: "FlowRun", route: Route, run: "FlowRun | None", away: str) -> None:
    if run is not None and run.deployment_id is not None:
        doing = f"handed to host {route.host!r} as run {other.id}"
        sentence = f"{runs.WAITING}host {route.host!r}: {away}; run {other.id} is for it" if away else doing
        state = runs.put_off(client, run.id, AGAIN_S, sentence)
        if state is not None:  # otherwise it was cancelled meanwhile, which ends this process
            raise Pause(state=state)
    elif away:
        raise HostAway(str(route.host), f"{away}; run {other.id} goes on when it is back", route.places)
    time.sleep(LOOK_S)

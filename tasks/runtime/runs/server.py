"""Flow runs on the Prefect server: find unhealthy ones, start, postpone and end runs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from catalog.records import Record
from catalog.rules.upkeep.recovery import SeenRun
from catalog.rules.upkeep.waiting import Wait
from catalog.units import date_said, utc_now
from tasks.runtime.batches import cut

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

PAGE = 200
CLOCKS_DIFFER = timedelta(days=2)  # more than any error from a wrong time zone or daylight saving time
EVENTS = 50  # the server's largest page
UNWELL = get_args(SeenRun.model_fields["state"].annotation)
HEARTBEAT = "prefect.flow-run.heartbeat"
RECOVERY = "recovery "
"""Prefix of the message of a state that restarts a run; counting these states gives the number of recoveries."""

WAITING = "waiting for "
"""Prefix of the message of a state in which a run waits for something unavailable."""


class Watched(Record):
    """The flows whose runs are checked, by the names in their rows."""

    flows: tuple[str, ...]
    adding: tuple[str, ...] = ()  # those that add an image
    recovering: str = ""  # those whose next run is scheduled anyway


class FoundRun(Record):
    """A run of ours in a state that may mean that it needs recovery."""

    id: str
    name: str
    flow: str  # e.g. "add-system-image"
    state: str
    state_at: datetime
    state_id: str
    last_sign_at: datetime
    recoveries: int
    cancelling: bool
    waited: bool
    parameters: dict[str, object]


def server_now(client: "SyncPrefectClient") -> datetime:
    """Return the time by the server's clock, which stamps states and received heartbeats, rounded up to a second.

    A server within this process states no time and shares our clock.
    """
    return date_said(client.hello().headers.get("date")) or utc_now()


def added_image(parameters: Mapping[str, object], run_id: str) -> str | None:
    """Return the image id of a run of an add; None if its request names an invalid one."""
    request = parameters.get("request")
    given = request.get("image_id") if isinstance(request, dict) else getattr(request, "image_id", None)
    try:
        return str(UUID(given or run_id))
    except ValueError:
        return None


def unwell_runs(
    client: "SyncPrefectClient", flows: Sequence[str], silence_s: float, now: datetime
) -> tuple[FoundRun, ...]:
    """Return runs of these flows' deployments that are Crashed, or in a state that a dead process can't leave.

    Heartbeats are searched as far back as `silence_s`. now: by the server's clock.
    """
    runs = [run for run in _of_deployments(client, flows) if run.state is not None]
    beats = _last_beats(client, [run.id for run in runs], silence_s, now)
    names = _flow_names(client, runs)
    return tuple(_found(client, run, names[run.flow_id], beats.get(run.id)) for run in runs)


def state_of(client: "SyncPrefectClient", run_id: str | None) -> str | None:
    """Return the state type of a run, None if the server does not know the run."""
    from prefect.exceptions import ObjectNotFound

    try:
        state = client.read_flow_run(UUID(run_id)).state if run_id else None
    except (ObjectNotFound, ValueError):
        return None
    return state.type.value if state else None


def state_id_of(client: "SyncPrefectClient", run_id: str) -> str | None:
    """Return the id of a run's present state."""
    state = client.read_flow_run(UUID(run_id)).state
    return str(state.id) if state else None


def start_again(client: "SyncPrefectClient", run_id: str, number: int, reason: str) -> None:
    """Schedule the run again. number: of this recovery of the run, from 1."""
    from prefect.client.schemas.objects import State
    from prefect.states import AwaitingRetry

    _declare_dead(client, run_id, reason)
    again: State[None] = AwaitingRetry(scheduled_time=server_now(client), message=f"{RECOVERY}{number}: {reason}")
    _set(client, run_id, again)


def waits_of(client: "SyncPrefectClient", run_id: UUID) -> tuple[Wait, ...]:
    """Return each time that a run waited for something unavailable, oldest first, by the server's clock."""
    states = sorted(client.read_flow_run_states(run_id), key=lambda state: state.timestamp)
    waits = [state for state in states if (state.message or "").startswith(WAITING)]
    return tuple(
        Wait(at=state.timestamp, until=state.state_details.scheduled_time or state.timestamp) for state in waits
    )


def put_off(client: "SyncPrefectClient", run_id: UUID, wait_s: float, reason: str) -> "State | None":
    """Schedule a run again after `wait_s`; return its new state, None if it is not Running any more."""
    from prefect.client.schemas.objects import State
    from prefect.states import AwaitingRetry

    if state_of(client, str(run_id)) != "RUNNING":
        return None
    at = server_now(client) + timedelta(seconds=wait_s)
    later: State[None] = AwaitingRetry(scheduled_time=at, message=f"{reason}; tried again at {at:%H:%M:%S} UTC")
    _set(client, str(run_id), later)
    return client.read_flow_run(run_id).state


def end(client: "SyncPrefectClient", run_id: str, reason: str) -> None:
    """End a run as Failed."""
    from prefect.states import Failed

    _declare_dead(client, run_id, reason)
    _set(client, run_id, Failed(message=reason))


def end_cancelled(client: "SyncPrefectClient", run_id: str, reason: str) -> None:
    """End a run as Cancelled."""
    from prefect.states import Cancelled

    _set(client, run_id, Cancelled(message=reason))


def _declare_dead(client: "SyncPrefectClient", run_id: str, reason: str) -> None:
    """Make the server release what the run held, such as its concurrency slot."""
    from prefect.states import Crashed

    if state_of(client, run_id) != "CRASHED":
        _set(client, run_id, Crashed(message=reason))


def _set(client: "SyncPrefectClient", run_id: str, state: "State") -> None:
    from prefect.client.schemas.responses import SetStateStatus

    answer = client.set_flow_run_state(UUID(run_id), state)
    if answer.status is not SetStateStatus.ACCEPT:
        raise RuntimeError(f"the server refuses to set run {run_id} {state.name}: {answer.details}")


def _of_deployments(client: "SyncPrefectClient", flows: Sequence[str]) -> Iterator["FlowRun"]:
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    states = filters.FlowRunFilterState(
        type=filters.FlowRunFilterStateType(any_=[StateType(state) for state in UNWELL])
    )
    deployed = filters.FlowRunFilterDeploymentId(is_null_=False)
    offset, full = 0, True
    while full:
        page = client.read_flow_runs(
            flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=list(flows))),
            flow_run_filter=filters.FlowRunFilter(state=states, deployment_id=deployed),
            limit=PAGE,
            offset=offset,
        )
        yield from page
        offset, full = offset + PAGE, len(page) == PAGE


def _last_beats(
    client: "SyncPrefectClient", runs: Sequence[UUID], silence_s: float, now: datetime
) -> dict[UUID, datetime]:
    """Return when the server received the last heartbeat of each run that has one since.

    The time at which a beat occurred is by the clock of the run's host, which may be hours off; it only narrows the
    search.
    """
    from prefect.events.filters import (
        EventFilter,
        EventNameFilter,
        EventOccurredFilter,
        EventResourceFilter,
    )

    told = EventOccurredFilter(since=now - timedelta(seconds=silence_s) - CLOCKS_DIFFER, until=now + CLOCKS_DIFFER)
    beats: dict[UUID, datetime] = {}
    for some in cut(runs, EVENTS):
        ids = [f"prefect.flow-run.{run}" for run in some]
        wanted = EventFilter(
            occurred=told,
            event=EventNameFilter(name=[HEARTBEAT]),
            resource=EventResourceFilter(id=ids, distinct=True),
        )
        for event in client.read_events(wanted, limit=EVENTS).events:
            run = UUID(event.resource.id.rpartition(".")[2])
            beats[run] = max(beats.get(run, event.received), event.received)
    return beats


def _flow_names(client: "SyncPrefectClient", runs: Sequence["FlowRun"]) -> dict[UUID, str]:
    return {flow_id: client.read_flow(flow_id).name for flow_id in {run.flow_id for run in runs}}


def _found(client: "SyncPrefectClient", run: "FlowRun", flow: str, beat: datetime | None) -> FoundRun:
    state = run.state
    assert state is not None
    states = client.read_flow_run_states(run.id)
    return FoundRun(
        id=str(run.id),
        name=run.name,
        flow=flow,
        state=state.type.value,
        state_at=state.timestamp,
        state_id=str(state.id),
        last_sign_at=max(state.timestamp, beat or state.timestamp),
        recoveries=sum((s.message or "").startswith(RECOVERY) for s in states),
        cancelling=_asked_to_cancel(states),
        waited=_waited(states),
        parameters=run.parameters,
    )


def _waited(states: Sequence["State"]) -> bool:
    """Tell whether no worker has taken a run being cancelled since it was last scheduled."""
    last_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    before = [state for state in last_first if state.type.value != "CANCELLING"]
    return bool(before) and before[0].type.value == "SCHEDULED"


def _asked_to_cancel(states: Sequence["State"]) -> bool:
    """Tell whether a run's cancellation was requested since it was last scheduled."""
    last_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    since = takewhile(lambda state: state.type.value != "SCHEDULED", last_first)
    return any(state.type.value == "CANCELLING" for state in since)

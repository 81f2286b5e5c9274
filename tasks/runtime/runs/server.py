"""Flow runs as the Prefect server sees them: which are not well, and starting or ending them."""

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
CLOCKS_DIFFER = timedelta(days=2)  # by more than any daylight or time zone that was set wrong
EVENTS = 50  # the most that the server gives at once
UNWELL = get_args(SeenRun.model_fields["state"].annotation)
HEARTBEAT = "prefect.flow-run.heartbeat"
RECOVERY = "recovery "
"""How the message of a state begins that starts a run again: the states of a run count its recoveries."""

WAITING = "waiting for "
"""How the message of a state begins in which a run waits for something that is away."""


class Watched(Record):
    """The flows whose runs are looked at, by the names that their rows give them."""

    flows: tuple[str, ...]
    adding: tuple[str, ...] = ()  # that bring in an image
    recovering: str = ""  # whose next run comes by itself


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
    """Return the moment by the server's clock, which stamps states and received heartbeats, rounded up to a second.

    A server within this process says none and shares our clock.
    """
    return date_said(client.hello().headers.get("date")) or utc_now()


def added_image(parameters: Mapping[str, object], run_id: str) -> str | None:
    """Return the id of the image that a run of an add brings in; None if it asked for one that is no id."""
    request = parameters.get("request")
    given = request.get("image_id") if isinstance(request, dict) else getattr(request, "image_id", None)
    try:
        return str(UUID(given or run_id))
    except ValueError:
        return None


def unwell_runs(
    client: "SyncPrefectClient", flows: Sequence[str], silence_s: float, now: datetime
) -> tuple[FoundRun, ...]:
    """Return runs of deployments of these flows that are Crashed, or in a state that a dead process can't leave.

    Heartbeats are looked for as far back as `silence_s`. now: by the server's clock.
    """
    runs = [run for run in _of_deployments(client, flows) if run.state is not None]
    beats = _last_beats(client, [run.id for run in runs], silence_s, now)
    names = _flow_names(client, runs)
    return tuple(_found(client, run, names[run.flow_id], beats.get(run.id)) for run in runs)


def state_of(client: "SyncPrefectClient", run_id: str | None) -> str | None:
    """Return the state type of a run, None if this server knows no such run."""
    from prefect.exceptions import ObjectNotFound

    try:
        state = client.read_flow_run(UUID(run_id)).state if run_id else None
    except (ObjectNotFound, ValueError):
        return None
    return state.type.value if state else None


def state_id_of(client: "SyncPrefectClient", run_id: str) -> str | None:
    """Return which of its states a run is in."""
    state = client.read_flow_run(UUID(run_id)).state
    return str(state.id) if state else None


def start_again(client: "SyncPrefectClient", run_id: str, number: int, reason: str) -> None:
    """Have a worker take the run up again. number: which recovery of it this is, from 1."""
    from prefect.client.schemas.objects import State
    from prefect.states import AwaitingRetry

    _declare_dead(client, run_id, reason)
    again: State[None] = AwaitingRetry(scheduled_time=server_now(client), message=f"{RECOVERY}{number}: {reason}")
    _set(client, run_id, again)


def waits_of(client: "SyncPrefectClient", run_id: UUID) -> tuple[Wait, ...]:
    """Return how often a run waited for something that was away, oldest first, by the server's clock."""
    states = sorted(client.read_flow_run_states(run_id), key=lambda state: state.timestamp)
    waits = [state for state in states if (state.message or "").startswith(WAITING)]
    return tuple(
        Wait(at=state.timestamp, until=state.state_details.scheduled_time or state.timestamp) for state in waits
    )


def put_off(client: "SyncPrefectClient", run_id: UUID, wait_s: float, reason: str) -> "State | None":
    """Have a worker take a run up again after `wait_s`; None where it is not Running any more, e.g. being cancelled."""
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
    """Let the server give back what the run held, such as its place in a concurrency limit."""
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
            limit=PAGE, offset=offset,
        )  # fmt: skip
        yield from page
        offset, full = offset + PAGE, len(page) == PAGE


def _last_beats(
    client: "SyncPrefectClient", runs: Sequence[UUID], silence_s: float, now: datetime
) -> dict[UUID, datetime]:
    """Return when the server received the last heartbeat of each run that has one since.

    When a beat occurred is told by the clock of the run's host, which may be hours off; so it only narrows the search.
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
            occurred=told, event=EventNameFilter(name=[HEARTBEAT]),
            resource=EventResourceFilter(id=ids, distinct=True),
        )  # fmt: skip
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
    """Tell whether a run that is being cancelled was not taken up by any worker since it was put before them."""
    last_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    before = [state for state in last_first if state.type.value != "CANCELLING"]
    return bool(before) and before[0].type.value == "SCHEDULED"


def _asked_to_cancel(states: Sequence["State"]) -> bool:
    """Tell whether somebody asked for the cancellation of a run since it was last put before the workers."""
    last_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    since = takewhile(lambda state: state.type.value != "SCHEDULED", last_first)
    return any(state.type.value == "CANCELLING" for state in since)

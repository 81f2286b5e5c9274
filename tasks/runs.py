"""Flow runs as the Prefect server sees them: which are not well, and starting or ending them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from catalog.records import Record
from catalog.rules.recovery import SeenRun

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

PAGE = 200
EVENTS = 50  # the most that the server gives at once
UNWELL = get_args(SeenRun.model_fields["state"].annotation)
HEARTBEAT = "prefect.flow-run.heartbeat"
RECOVERY = "recovery "
"""How the message of a state begins that starts a run again: the states of a run count its recoveries."""


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
    parameters: dict[str, object]


def added_image(parameters: Mapping[str, object], run_id: str) -> str | None:
    """Return the id of the image that a run of an add brings in; None if it asked for one that is no id."""
    request = parameters.get("request")
    given = request.get("image_id") if isinstance(request, dict) else getattr(request, "image_id", None)
    try:
        return str(UUID(given or run_id))
    except ValueError:
        return None


def unwell_runs(client: "SyncPrefectClient", flows: Sequence[str], silence_s: float) -> tuple[FoundRun, ...]:
    """Return runs of deployments of these flows that are Crashed, or in a state that a dead process can't leave.

    Heartbeats are looked for as far back as `silence_s`.
    """
    runs = [run for run in _of_deployments(client, flows) if run.state is not None]
    beats = _last_beats(client, [run.id for run in runs], silence_s)
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
    again: State[None] = AwaitingRetry(
        scheduled_time=datetime.now(UTC), message=f"{RECOVERY}{number}: {reason}"
    )
    _set(client, run_id, again)


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


def _last_beats(client: "SyncPrefectClient", runs: Sequence[UUID], silence_s: float) -> dict[UUID, datetime]:
    """Return the last heartbeat of each run that has one since."""
    from prefect.events.filters import (
        EventFilter,
        EventNameFilter,
        EventOccurredFilter,
        EventResourceFilter,
    )

    since = datetime.now(UTC) - timedelta(seconds=silence_s)
    beats: dict[UUID, datetime] = {}
    for start in range(0, len(runs), EVENTS):
        ids = [f"prefect.flow-run.{run}" for run in runs[start : start + EVENTS]]
        wanted = EventFilter(
            occurred=EventOccurredFilter(since=since), event=EventNameFilter(name=[HEARTBEAT]),
            resource=EventResourceFilter(id=ids, distinct=True),
        )  # fmt: skip
        for event in client.read_events(wanted, limit=EVENTS).events:
            run = UUID(event.resource.id.rpartition(".")[2])
            beats[run] = max(beats.get(run, event.occurred), event.occurred)
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
        parameters=run.parameters,
    )


def _asked_to_cancel(states: Sequence["State"]) -> bool:
    """Tell whether somebody asked for the cancellation of a run since it was last put before the workers."""
    last_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    since = takewhile(lambda state: state.type.value != "SCHEDULED", last_first)
    return any(state.type.value == "CANCELLING" for state in since)

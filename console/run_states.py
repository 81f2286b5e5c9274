"""Runs for the API: state, progress and outcome; and cancellation."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
)
from prefect.client.schemas.objects import Artifact, FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling

from catalog import open_catalog
from catalog.errors import RunNotFound
from catalog.records import Outcome, Record
from catalog.settings import Settings
from console.entrance.run_visibility import account_of
from console.starting import LIMIT_S, SILENT, UNREACHABLE, ServerUnavailable
from console.thread_pools import catalogs
from flows.registry import OPERATIONS
from flows.server.client import prefect_client

NOT_BEGUN = (StateType.SCHEDULED, StateType.PENDING, StateType.PAUSED)


class Progress(Record):
    """How far a run is. total_bytes: null where the size is not known; step: what is being done."""

    done_bytes: int
    total_bytes: int | None
    step: str


class RunState(Record):
    """A run. message: what its state says; result, error: what it returned or failed with, once it has ended."""

    run: UUID
    operation: str
    account: str
    state: str
    finished: bool = False
    failed: bool = False
    message: str = ""
    progress: Progress | None = None
    result: object = None
    error: dict[str, object] | None = None


@asynccontextmanager
async def server() -> AsyncIterator[PrefectClient]:
    """Yield a client of the Prefect server, with a time limit. Raises ServerUnavailable."""
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            yield client
    except UNREACHABLE as error:
        if isinstance(error, ObjectNotFound):
            raise
        raise ServerUnavailable(SILENT) from error


async def found_run(client: PrefectClient, run_id: UUID) -> FlowRun:
    """Return a run of one of our operations. Raises RunNotFound."""
    try:
        run = await client.read_flow_run(run_id)
        flow = await client.read_flow(run.flow_id)
    except ObjectNotFound as error:
        raise RunNotFound(str(run_id)) from error
    if flow.name.replace("-", "_") not in OPERATIONS:
        raise RunNotFound(str(run_id))
    return run


async def state_of(client: PrefectClient, settings: Settings, run: FlowRun) -> RunState:
    """Return the state of a run."""
    flow, state = await client.read_flow(run.flow_id), run.state
    shown = RunState(
        run=run.id,
        operation=flow.name,
        account=account_of(run),
        state=(state.name or state.type.value) if state else "Scheduled",
        message=(state.message or "") if state else "",
        progress=await _progress(client, run),
    )
    if state is None or not state.is_final():
        return shown
    outcome = await catalogs(_outcome, settings, str(run.id))
    ended = {"finished": True, "failed": not state.is_completed(), "result": _result(outcome)}
    failed = {"error": _error(outcome, shown.message)} if not state.is_completed() else {}
    return shown.model_copy(update={**ended, **failed})


def _outcome(settings: Settings, run_id: str) -> Outcome | None:
    with open_catalog(settings.catalog_address) as catalog:
        return catalog.outcome(run_id)


def _result(outcome: Outcome | None) -> object:
    return cast("object", json.loads(outcome.result)) if outcome is not None and outcome.result else None


def _error(outcome: Outcome | None, message: str) -> dict[str, object]:
    """Return a run's error; if it died before it could store one, its state's message."""
    return (outcome.error if outcome else None) or {"type": "RunFailed", "detail": message or "it ended by itself"}


async def _progress(client: PrefectClient, run: FlowRun) -> Progress | None:
    found = await client.read_artifacts(
        artifact_filter=ArtifactFilter(
            type=ArtifactFilterType(any_=["progress"]), flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])
        )
    )
    newest = max(found, key=lambda artifact: str(artifact.updated), default=None)
    return None if newest is None else _told(newest)


def _told(artifact: Artifact) -> Progress | None:
    said = artifact.metadata_ or {}
    done, total = said.get("done_bytes", ""), said.get("total_bytes", "")
    if not done.isdigit():
        return None
    return Progress(
        done_bytes=int(done), total_bytes=int(total) if total.isdigit() else None, step=said.get("step", "")
    )


async def cancel(client: PrefectClient, run: FlowRun) -> None:
    """Cancel a run: at once if no worker has begun it, else through the worker. A no-op for an ended run."""
    state = run.state
    if state is not None and state.is_final():
        return
    not_begun = state is None or state.type in NOT_BEGUN
    await client.set_flow_run_state(run.id, Cancelled() if not_begun else Cancelling())

"""Watch current runs on the Prefect server, once for all open pages."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import Artifact, FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from console.live.jobs import Job, Pace, asked_name, job_of, row_of_run, with_progress
from console.starting import UNREACHABLE
from flows.server.client import prefect_client
from flows.server.clock import ServerClock

GOING_ON = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING)
MOST = 200
"""Most runs followed at once, the newest ones."""
KEPT = timedelta(minutes=15)
"""How long an ended run is shown."""
MOST_KEPT = 100
OVERLAP = timedelta(seconds=10)
"""Overlap of two looks: clocks of hosts differ, and a run is written a moment after it ended."""


class Seen(Job):
    """A job with the facts that decide who sees it. run: the server's record; name: in its request."""

    run: FlowRun
    name: str = ""


class RunWatch:
    """Current runs and their progress; a look takes two or three requests, however many pages are open."""

    def __init__(self) -> None:
        self._client: PrefectClient | None = None
        self._clock = ServerClock()
        self._open = AsyncExitStack()
        self._flows: dict[UUID, str] = {}
        self._paces: dict[str, Pace] = {}
        self._known: dict[str, Seen] = {}
        self._looked: datetime | None = None

    @property
    def known(self) -> Sequence[Seen]:
        """The runs of the last look: current ones, and recently ended ones."""
        return tuple(self._known.values())

    @property
    def busy(self) -> bool:
        """Tell whether any run is in progress."""
        return any(not one.finished for one in self._known.values())

    async def look(self) -> None:
        """Look again. If the server does not answer, the known runs stay."""
        try:
            await self._look(await self._server())
        except (*UNREACHABLE, ValueError):  # ValueError: no server is configured
            await self.close()

    async def close(self) -> None:
        """Close the connection; the next look opens a new one."""
        self._client = None
        opened, self._open = self._open, AsyncExitStack()
        try:
            await opened.aclose()
        except UNREACHABLE:
            return

    async def _server(self) -> PrefectClient:
        if self._client is None:
            self._client = await self._open.enter_async_context(prefect_client())
            self._clock.hear(await self._client.hello())
        return self._client

    async def _look(self, client: PrefectClient) -> None:
        going = await self._going_on(client)
        ended = await self._ended(client, {str(run.id) for run in going})
        far = await self._progress(client, going)
        for run in (*ended, *going):
            row = row_of_run(await self._flow(client, run.flow_id))
            if row is None or (run.auto_scheduled and run.state and run.state.is_scheduled()):
                continue
            job = job_of(run, row)
            if (artifact := far.get(run.id)) is not None:
                pace = self._paces.setdefault(job.id, Pace())
                job = with_progress(job, artifact, pace, time.monotonic())
            elif (before := self._known.get(job.id)) is not None and not job.images:
                job = job.model_copy(update={"images": before.images})
            self._known[job.id] = Seen(**dict(job), run=run, name=asked_name(run))
        self._forget()

    async def _going_on(self, client: PrefectClient) -> Sequence[FlowRun]:
        wanted = filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=list(GOING_ON))),
            expected_start_time=filters.FlowRunFilterExpectedStartTime(
                before_=self._clock.now() + timedelta(seconds=2)
            ),
        )
        return await client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST
        )

    async def _ended(self, client: PrefectClient, going: set[str]) -> Sequence[FlowRun]:
        """Return runs that ended since the last look, even if they began since; at the first look, recent ones."""
        now = self._clock.now()
        recent = filters.FlowRunFilterEndTime(after_=self._looked - OVERLAP if self._looked else now - KEPT)
        found = await client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(end_time=recent), sort=FlowRunSort.END_TIME_DESC, limit=MOST_KEPT
        )
        self._looked = now
        told = {*going, *(str(run.id) for run in found)}
        gone = [UUID(one.id) for one in self._known.values() if not one.finished and one.id not in told]
        if not gone:
            return found[::-1]
        others = await client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=gone)), limit=MOST
        )
        return [*found[::-1], *others]

    async def _progress(self, client: PrefectClient, going: Sequence[FlowRun]) -> dict[UUID, Artifact]:
        """Return the newest progress of each run that moves bytes."""
        ids = [run.id for run in going if run.state is not None and run.state.is_running()]
        if not ids:
            return {}
        found = await client.read_artifacts(
            artifact_filter=filters.ArtifactFilter(
                type=filters.ArtifactFilterType(any_=["progress"]),
                flow_run_id=filters.ArtifactFilterFlowRunId(any_=ids),
            )
        )
        newest = sorted((a for a in found if a.flow_run_id is not None), key=lambda artifact: str(artifact.updated))
        return {artifact.flow_run_id: artifact for artifact in newest if artifact.flow_run_id is not None}

    async def _flow(self, client: PrefectClient, flow_id: UUID) -> str:
        if flow_id not in self._flows:
            self._flows[flow_id] = (await client.read_flow(flow_id)).name
        return self._flows[flow_id]

    def _forget(self) -> None:
        """Remove runs that ended long ago."""
        before = self._clock.now() - KEPT
        ended = [one for one in self._known.values() if one.finished]
        old = [one for one in ended if one.run.end_time is not None and one.run.end_time < before]
        for one in (*old, *ended[:-MOST_KEPT]):
            self._known.pop(one.id, None)
            self._paces.pop(one.id, None)

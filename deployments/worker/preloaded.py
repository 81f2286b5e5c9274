"""Prefect's process worker, with runs that are forked from a process that has everything loaded.

It serves the same work pool as the plain one, with the same template: what a run's environment is, no run decides. A run that
can't be forked, because its deployment is none of ours or there is no process to fork from, is started as the plain worker does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Self
from uuid import UUID

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker
from pydantic import TypeAdapter

from deployments.apply import put_queues
from deployments.definitions import POOL
from deployments.worker.forks import NotPreloaded
from deployments.worker.keeper import Keeper
from deployments.worker.known import Known
from deployments.worker.launcher import Launch, Launcher
from flows.server.clock import ServerClock

LONGEST_S = 30.0
"""How long a server that does not answer is waited for before it is asked again."""
AFTER_NOTICE_S = (0.1, 0.4)
"""When it is asked again after a notice: it may tell of a run a moment before it gives it away."""
BEING_TAKEN = 4
"""How many more runs are asked for than there are slots: the first few may be those that are just being taken up."""
RUNS = TypeAdapter(list[WorkerFlowRunResponse])
AWAY = (httpx.HTTPError, PrefectException, OSError)

log = logging.getLogger("prefect.imagewright.worker")


class PreloadedWorker(ProcessWorker):
    """Serves some queues of the pool with so many slots. draining: whether it takes none now; poll_s: how often it asks, told or not."""

    def __init__(
        self,
        name: str,
        queues: Sequence[str],
        slots: int,
        launcher: Launcher,
        keeper: Keeper,
        draining: Callable[[], Awaitable[bool]],
        poll_s: float,
    ) -> None:
        super().__init__(POOL, work_queues=list(queues), name=name, limit=slots, create_pool_if_not_found=False)
        self._launcher, self._keeper, self._draining, self._poll_s = launcher, keeper, draining, poll_s
        self._known = Known(name)
        self._clock = ServerClock()
        self._told = asyncio.Event()
        self._soon: list[float] = []

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Leave Prefect's own class the one that `--type process` means."""
        return "imagewright-preloaded"

    async def __aenter__(self) -> Self:
        """Skip the runner of ad-hoc flows, which nobody has here."""
        await BaseWorker.__aenter__(self)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await BaseWorker.__aexit__(self, *exc_info)

    async def _sync_and_initialize(self) -> None:
        """Leave it to `serve`, which lasts until the server is there."""

    def tell(self) -> None:
        """Have it ask for runs at once, and twice again soon."""
        self._soon = list(AFTER_NOTICE_S)
        self._told.set()

    async def serve(self) -> None:
        """Take up runs until cancelled, whatever becomes of the server meanwhile."""
        async with self, asyncio.TaskGroup() as group:
            await _lasting(self._prepare)
            group.create_task(_every(self.sync_with_backend, lambda: asyncio.sleep(self.heartbeat_interval_seconds)))
            group.create_task(_every(self._take_up, self._until_told))

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Take up a run that was given a slot, and give the slot back when it has ended; those of others the plain way."""
        launch = await self._preloaded(flow_run)
        if launch is None:
            await super()._submit_run(flow_run)
            return
        try:
            if await self._propose_pending_state(flow_run):
                await self._launcher.run(launch, lambda pid: self._note(flow_run.id, pid))
        except Exception as error:
            log.exception("run %s could not be launched", flow_run.id)
            await self._propose_crashed_state(flow_run, f"it could not be launched: {type(error).__name__}: {error}")
        finally:
            self._submitting_flow_run_ids.discard(flow_run.id)
            self._release_limit_slot(flow_run.id)

    async def _preloaded(self, flow_run: FlowRun) -> Launch | None:
        """Return how a run is forked; None if it has to be started the plain way."""
        try:
            launch = await self._known.launch(flow_run, self.client, self.work_pool)
            if launch is not None:
                await self._keeper.ready(launch.environment)
        except (NotPreloaded, ObjectNotFound, *AWAY) as error:
            log.warning("run %s is started the plain way: %s", flow_run.id, error)
            return None
        return launch

    def _note(self, run_id: UUID, pid: int) -> None:
        """Tell the server which process works on a run, without keeping the run waiting."""

        async def tell() -> None:
            with suppress(*AWAY):
                await self.client.update_flow_run(run_id, infrastructure_pid=str(pid))

        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(tell)

    def _release_limit_slot(self, flow_run_id: UUID) -> None:
        super()._release_limit_slot(flow_run_id)
        self._told.set()

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """Ask for no more runs than there are slots: Prefect's own worker is sent the whole backlog each time."""
        most = int(self.limiter.available_tokens) + BEING_TAKEN
        wanted = {
            "work_queue_names": sorted(self._work_queues),
            "scheduled_before": str(self._clock.now()),
            "limit": most,
        }
        answer = await self.client.request(
            "POST", "/work_pools/{name}/get_scheduled_flow_runs", path_params={"name": POOL}, json=wanted
        )
        self._clock.hear(answer)
        return RUNS.validate_python(answer.json())

    async def sync_with_backend(self) -> None:
        """Say that it is there, and read the pool. Prefect's own keeps a WebSocket for each worker to say it, and we are three."""
        self._clock.hear(await self.client.hello())
        self._record_work_pool_snapshot(await self.client.read_work_pool(POOL))
        await self.client.send_worker_heartbeat(POOL, self.name, self.heartbeat_interval_seconds)
        await self._initialize_after_sync()

    async def _prepare(self) -> None:
        """Have queues to ask of, and everything loaded before the first run. One after another: SQLite has one writer."""
        async with self._launcher.preparing:
            await put_queues(self.client, dict.fromkeys(sorted(self._work_queues)))
            await self.sync_with_backend()
        with suppress(NotPreloaded):  # which is logged, and met again by the first run
            await self._keeper.ready(await self._known.environment(self.client, self.work_pool))

    async def _take_up(self) -> None:
        if self.limiter.available_tokens > 0 and not await self._draining():
            await self.get_and_submit_flow_runs()

    async def _until_told(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._soon.pop(0) if self._soon else self._poll_s):
                await self._told.wait()
        self._told.clear()


async def _every(work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]]) -> None:
    while True:
        await _lasting(work)
        await pause()


async def _lasting(work: Callable[[], Awaitable[object]]) -> None:
    """Do it, however long the server is away."""
    wait_s = 1.0
    while True:
        try:
            await work()
            return
        except AWAY as error:
            log.warning(
                "the Prefect server can not be asked (%s: %s); again in %.0f s", type(error).__name__, error, wait_s
            )
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_S, wait_s * 2)

"""Prefect's process worker, with runs forked from a process that has everything preloaded.

It serves the same work pool as the plain worker, with the same template, so no run decides its environment. A run that
can't be forked, because its deployment is not ours or no process can fork it, is started as the plain worker does.
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
"""Seconds to wait before asking an unresponsive server again."""
AFTER_NOTICE_S = (0.1, 0.4)
"""Seconds after a notice at which the server is asked again: its event may precede the run's availability."""
BEING_TAKEN = 4
"""Runs to ask for beyond the free slots: the first few of an answer may be the ones just being taken."""
RUNS = TypeAdapter(list[WorkerFlowRunResponse])
AWAY = (httpx.HTTPError, PrefectException, OSError)

log = logging.getLogger("prefect.imagewright.worker")


class PreloadedWorker(ProcessWorker):
    """Serves some queues of the pool with a number of slots.

    draining: tells whether to take no runs now; poll_s: seconds between polls without a notice.
    """

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
        """Return a key of its own, so that `--type process` still means Prefect's own class."""
        return "imagewright-preloaded"

    async def __aenter__(self) -> Self:
        """Skip the runner of ad-hoc flows, which are not used here."""
        await BaseWorker.__aenter__(self)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await BaseWorker.__aexit__(self, *exc_info)

    async def _sync_and_initialize(self) -> None:
        """Do nothing: `serve` does this once the server is available."""

    def tell(self) -> None:
        """Ask for runs at once, and twice more soon after."""
        self._soon = list(AFTER_NOTICE_S)
        self._told.set()

    async def serve(self) -> None:
        """Take runs until cancelled, even through outages of the server."""
        async with self, asyncio.TaskGroup() as group:
            await _lasting(self._prepare)
            group.create_task(_every(self.sync_with_backend, lambda: asyncio.sleep(self.heartbeat_interval_seconds)))
            group.create_task(_every(self._take_up, self._until_told))

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Run a flow run that has a slot, then release the slot. A run that can't be forked goes the plain way."""
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
        """Return the launch of a run; None if it has to be started the plain way."""
        try:
            launch = await self._known.launch(flow_run, self.client, self.work_pool)
            if launch is not None:
                await self._keeper.ready(launch.environment)
        except (NotPreloaded, ObjectNotFound, *AWAY) as error:
            log.warning("run %s is started the plain way: %s", flow_run.id, error)
            return None
        return launch

    def _note(self, run_id: UUID, pid: int) -> None:
        """Tell the server the process id of a run, without delaying the run."""

        async def tell() -> None:
            with suppress(*AWAY):
                await self.client.update_flow_run(run_id, infrastructure_pid=str(pid))

        assert self._runs_task_group is not None
        self._runs_task_group.start_soon(tell)

    def _release_limit_slot(self, flow_run_id: UUID) -> None:
        super()._release_limit_slot(flow_run_id)
        self._told.set()

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """Ask for only as many runs as there are slots: Prefect's own worker gets the whole backlog each time."""
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
        """Send the worker's heartbeat and read the pool.

        Prefect's version keeps a WebSocket per worker, and we have three.
        """
        self._clock.hear(await self.client.hello())
        self._record_work_pool_snapshot(await self.client.read_work_pool(POOL))
        await self.client.send_worker_heartbeat(POOL, self.name, self.heartbeat_interval_seconds)
        await self._initialize_after_sync()

    async def _prepare(self) -> None:
        """Create the queues, and load everything before the first run. One worker at a time: SQLite has one writer."""
        async with self._launcher.preparing:
            await put_queues(self.client, dict.fromkeys(sorted(self._work_queues)))
            await self.sync_with_backend()
        with suppress(NotPreloaded):  # it is logged, and the first run meets it again
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
    """Repeat the work until it succeeds, however long the server is unavailable."""
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

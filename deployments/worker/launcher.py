"""Launch runs as forked processes under Prefect's own runner, which reports states, hooks, cancellations and crashes.

Prefect's process worker builds these parts for each run; here all runs of a host share them, which saves a client, a
listener and a WebSocket per run.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.runner._cancellation_manager import CancellationManager
from prefect.runner._control_channel import ControlChannel
from prefect.runner._event_emitter import EventEmitter
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutor
from prefect.runner._process_manager import ProcessHandle, ProcessManager, create_isolated_termination_scope
from prefect.runner._state_proposer import StateProposer
from prefect.states import Pending

from deployments.worker.keeper import Keeper
from deployments.worker.orders import Order
from tasks.runtime.runs.server import HEARTBEAT

BEAT_S = 30.0
"""Seconds between two heartbeats of a run; `recover_runs` takes a run for dead after three missed ones."""
TOLD_AHEAD_S = (0.0, 0.3, 1.0)
LEAVES_WITHIN_S = 10.0
"""How long a suspended run may go on before its process is killed."""

log = logging.getLogger("prefect.imagewright.worker")


@dataclass(frozen=True)
class Launch:
    """A run to fork. operation: its row's name; environment: complete, but without the run's own secrets."""

    flow_run: FlowRun
    operation: str
    environment: Mapping[str, str]

    def order(self, **more: object) -> Order:
        """Return the order that starts a process for the run."""
        return Order.model_validate(
            {"number": 0, "job": "run", "operation": self.operation, "environment": self.environment, **more}
        )


class Launcher:
    """Starts runs, sends their heartbeats, and ends them on cancellation. An async context manager."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._launches: dict[UUID, Launch] = {}
        self._left: dict[UUID, asyncio.Event] = {}
        self._stack = AsyncExitStack()
        self.preparing = asyncio.Lock()
        """Held by one of those who share it while it prepares."""
        self._endings: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        client = self._client = await self._stack.enter_async_context(get_client())
        self._control = ControlChannel()
        self._processes = await self._stack.enter_async_context(ProcessManager(on_remove=self._forget))
        self._states = StateProposer(client=client)
        self._hooks = Hooks(self._keeper, self._launches)
        emitter = await self._stack.enter_async_context(EventEmitter(runner_name="imagewright", client=client))
        await self._stack.enter_async_context(self._control)
        self._cancellations = CancellationManager(
            process_manager=self._processes,
            hook_runner=self._hooks,
            state_proposer=self._states,
            event_emitter=emitter,
            client=client,
            control_channel=self._control,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Terminate the remaining runs cleanly."""
        remaining = self._processes.flow_run_ids()
        await asyncio.gather(*map(self._processes.kill, remaining))
        await asyncio.gather(*map(self._report_ended, remaining))
        await self._stack.aclose()

    async def run(self, launch: Launch, begun: Callable[[int], None]) -> FlowRunExecutionResult | None:
        """Run a launch to its end and report its state to the server. begun: called with its process id."""
        run_id = launch.flow_run.id
        self._launches[run_id], self._left[run_id] = launch, asyncio.Event()
        executor = FlowRunExecutor(
            flow_run=launch.flow_run,
            starter=_Starter(self._keeper, self._control, launch),
            process_manager=self._processes,
            state_proposer=self._states,
            hook_runner=self._hooks,
            propose_submitting=False,
            get_attempt_conclusion=self._control.get_conclusion,
        )
        result: FlowRunExecutionResult | None = None

        async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
            nonlocal result
            result = await executor.submit(task_status=task_status)

        try:
            async with anyio.create_task_group() as group:
                handle = await group.start(execute)
                begun(handle.pid or 0)
        finally:
            await asyncio.gather(*self._ending(run_id), return_exceptions=True)  # its hooks need its launch
            self._launches.pop(run_id, None)
            self._left.pop(run_id, None)
        return result

    async def _report_ended(self, run_id: UUID) -> None:
        """Report a run as crashed if its process ended without doing so: it was killed, or the server was too slow."""
        with suppress(httpx.HTTPError, PrefectException, OSError):  # `recover_runs` finds it, too
            flow_run = await self._client.read_flow_run(run_id)
            if flow_run.state is not None and (flow_run.state.is_running() or flow_run.state.is_pending()):
                await self._states.propose_crashed(flow_run, "its worker was told to end")

    def running(self) -> set[UUID]:
        """Return the runs that have a process."""
        return self._processes.flow_run_ids()

    def cancel(self, run_id: UUID) -> None:
        """End a run of ours that is to be cancelled; a no-op for other runs and for a second request."""
        if run_id in self.running() and not self._ending(run_id):
            self._soon(self._cancel(run_id), run_id)

    def suspend(self, run_id: UUID) -> None:
        """End the process of a suspended run of ours; its state stays, and resuming starts a new process."""
        if run_id in self.running() and not self._ending(run_id):
            self._soon(self._relinquish(run_id), run_id)

    async def _cancel(self, run_id: UUID) -> None:
        if flow_run := await self._now(run_id, State.is_cancelling):
            await self._cancellations.cancel(flow_run)

    async def _relinquish(self, run_id: UUID) -> None:
        if await self._now(run_id, State.is_paused) and not await self._leaves(run_id):
            await self._control.signal(run_id, "relinquish")
            await self._processes.kill(run_id)

    async def _leaves(self, run_id: UUID) -> bool:
        """Tell whether a run ends by itself: one that suspended itself still records its question afterwards."""
        with anyio.move_on_after(LEAVES_WITHIN_S):
            await self._left[run_id].wait()
        return run_id not in self.running()

    async def _now(self, run_id: UUID, expected: Callable[[State], bool]) -> FlowRun | None:
        """Return a run if its state is the expected one: an event may be a minute old, or ahead of the state."""
        for wait_s in TOLD_AHEAD_S:
            await asyncio.sleep(wait_s)
            flow_run = await self._client.read_flow_run(run_id)
            if flow_run.state is not None and expected(flow_run.state):
                return flow_run
        return None

    def _soon(self, work: Coroutine[object, object, None], run_id: UUID) -> None:
        task = asyncio.create_task(work, name=str(run_id))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _ending(self, run_id: UUID) -> list[asyncio.Task[None]]:
        return [task for task in self._endings if task.get_name() == str(run_id)]

    async def _forget(self, run_id: UUID) -> None:
        self._control.unregister(run_id)
        if run_id in self._left:
            self._left[run_id].set()


class _Starter:
    """Implements Prefect's process starter: forks a process and returns when it has ended."""

    def __init__(self, keeper: Keeper, control: ControlChannel, launch: Launch) -> None:
        self._keeper, self._control, self._launch = keeper, control, launch

    async def start(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        port, token = self._control.register(flow_run.id)
        own = {
            "PREFECT__CONTROL_PORT": str(port),
            "PREFECT__CONTROL_TOKEN": token,
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",  # the worker runs them
        }
        begun = flow_run.model_copy(update={"state": Pending()}).model_dump_json()  # the server's state by now
        order = self._launch.order(environment={**self._launch.environment, **own}, flow_run=begun)
        process = await self._keeper.fork(order)
        scope = create_isolated_termination_scope(process.pid)
        task_status.started(ProcessHandle(process, scope))  # type: ignore[arg-type]  # Forked has all that it uses
        while process.returncode is None:
            with anyio.move_on_after(BEAT_S):
                await process.wait()
                return
            _beat(flow_run)


def _beat(flow_run: FlowRun) -> None:
    """Send a run's heartbeat. From the run's own process it would take a thread, and a second at its end."""
    resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name}
    emit_event(HEARTBEAT, resource)


class Hooks:
    """Implements Prefect's hook runner: each hook in a process of its own, as the run's process has ended."""

    def __init__(self, keeper: Keeper, launches: Mapping[UUID, Launch]) -> None:
        self._keeper, self._launches = keeper, launches

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State) -> None:
        """Run a flow's cancellation hooks."""
        if state.is_cancelling():
            await self._run("cancellation", flow_run, state)

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State) -> None:
        """Run a flow's crash hooks."""
        if state.is_crashed():
            await self._run("crashed", flow_run, state)

    async def _run(self, job: str, flow_run: FlowRun, state: State) -> None:
        launch = self._launches.get(flow_run.id)
        if launch is None:
            return
        order = launch.order(job=job, flow_run=flow_run.model_dump_json(), state=state.model_dump_json())
        code = await (await self._keeper.fork(order)).wait()
        if code:
            log.warning("the %s hooks of run %s ended with %s", job, flow_run.id, code)

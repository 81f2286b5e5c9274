"""The worker's side of the forking process: start it, send it orders, receive how each run ended."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

from catalog.errors import ImagewrightError
from deployments.definitions import ROOT
from deployments.worker.orders import READY, Order, Told

START_S = 120.0
KILLED = -signal.SIGKILL


class NotPreloaded(ImagewrightError):
    """There is no process that runs can be forked from."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"runs can not be forked from a preloaded process: {reason}; each is started by itself")


class Forked:
    """A process forked for an order, with the attributes that Prefect's process manager reads: `pid`, `returncode`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def ended(self, code: int) -> None:
        """Record the exit code."""
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        """Wait for the process to end and return its exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode


class ForkingParent:
    """A running process that forks runs.

    Made by `start`; it takes orders until `retire` and exits after its last run.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Forked]] = {}
        self._forked: dict[int, Forked] = {}
        self._listening = asyncio.create_task(self._listen())
        self.forked = 0
        """How many processes it has forked so far."""

    @classmethod
    async def start(cls, environment: Mapping[str, str]) -> "ForkingParent":
        """Start a process with this environment and return it once everything is loaded. Raises NotPreloaded."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "deployments.worker.parent",
                str(theirs.fileno()),
                env=environment,
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(START_S):
                said = (await reader.readline()).decode().strip()
        except TimeoutError:
            said = f"it was not ready within {START_S:.0f} s"
        if said != READY:
            writer.close()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise NotPreloaded(said or f"it ended with {process.returncode}, its log says why")
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the process still takes orders."""
        return not self._listening.done()

    async def fork(self, order: Order) -> Forked:
        """Fork a process for an order. Raises NotPreloaded."""
        numbered = order.model_copy(update={"number": next(self._numbers)})
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._answers[numbered.number] = answer
        try:
            self._writer.write(numbered.model_dump_json().encode() + b"\n")
            if not self.alive:
                raise NotPreloaded("it ended")
            forked = await answer
        finally:
            self._answers.pop(numbered.number, None)
        self.forked += 1
        return forked

    def retire(self) -> None:
        """Send no more orders; the process exits when its last run has ended."""
        with suppress(OSError):
            self._writer.write(b"\n")

    async def wait(self) -> None:
        """Wait until the process and all its runs have ended."""
        await self._listening
        await self._process.wait()

    async def _listen(self) -> None:
        with suppress(OSError):
            while line := await self._reader.readline():
                self._hear(Told.model_validate_json(line))
        self._lost()
        self._writer.close()

    def _hear(self, told: Told) -> None:
        answer = self._answers.get(told.number)
        if told.code is not None:
            self._forked.pop(told.number).ended(told.code)
        elif told.pid is not None:
            forked = self._forked[told.number] = Forked(told.pid)
            if answer and not answer.done():
                answer.set_result(forked)
        elif answer and not answer.done():
            answer.set_exception(NotPreloaded(told.error))

    def _lost(self) -> None:
        """Kill the programs that a dead process's children started; the kernel killed the children themselves."""
        for forked in self._forked.values():
            with suppress(ProcessLookupError):
                os.killpg(forked.pid, signal.SIGKILL)
            forked.ended(KILLED)
        self._forked.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotPreloaded("it ended"))

"""The forking process: it has Prefect, the flows and their imports loaded, a single thread, and no open files.

`python -m deployments.worker.parent FD`: FD is a socket to the worker. Each run is a child that starts at once and dies
alone: it has its own session, default signals, no open file of ours, and its whole environment from the order. If the
worker or this process dies, the runs end too, since nobody would send their heartbeats or hear their cancellation.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from catalog.loading import loading
from deployments.worker.loading import load_everything
from deployments.worker.orders import READY, Order, Told

PR_SET_PDEATHSIG = 1
GRACE_S = 20.0
"""How long runs have to stop cleanly once their worker is gone."""
PIECE = 1 << 16


class Parent:
    """Forks a child per order and reports how each ended."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = b""
        self._poll = select.poll()
        self._children: dict[int, tuple[int, int]] = {}
        """pidfd → (pid, number of its order)."""
        self._open = True

    def serve(self) -> Order | None:
        """Fork until the orders stop and the last child has ended; return None, or the order in a child."""
        self._poll.register(self._channel, select.POLLIN)
        while self._open or self._children:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._reap(descriptor)
                elif (order := self._read()) is not None:
                    return order
        return None

    def _read(self) -> Order | None:
        data = self._channel.recv(PIECE)
        if not data:
            self._abandoned()
            return None
        self._lines += data
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            if not line:  # an empty line: no more orders will come
                self._open = False
            elif self._fork(order := Order.model_validate_json(line)):
                return order
        return None

    def _fork(self, order: Order) -> bool:
        """Fork a child in its own session; return True in the child."""
        here, there = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(Told(number=order.number, error=error.strerror or "no process can be started"))
            return False
        if pid == 0:
            os.setsid()
            _die_with_parent()
            os.close(there)  # from here on its process group can be signalled
            return True
        os.close(there)
        os.read(here, 1)
        os.close(here)
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = (pid, order.number)
        self._poll.register(descriptor, select.POLLIN)
        self._tell(Told(number=order.number, pid=pid))
        return False

    def _reap(self, descriptor: int) -> None:
        pid, number = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._tell(Told(number=number, code=os.waitstatus_to_exitcode(status)))

    def _tell(self, told: Told) -> None:
        with suppress(OSError):  # the worker is gone; the next read shows it
            self._channel.sendall(told.model_dump_json().encode() + b"\n")

    def _abandoned(self) -> None:
        """End the runs of a dead worker: terminate them, then kill what is left."""
        self._open = False
        self._poll.unregister(self._channel)
        self._signal(signal.SIGTERM)
        end = time.monotonic() + GRACE_S
        while self._children and (left := end - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(left * 1000):
                self._reap(descriptor)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for pid, _ in self._children.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, number)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, for whatever reason."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def begin(order: Order) -> None:
    """Give a forked child the environment, signals and descriptors of a process started for its order."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.environ.clear()
    os.environ.update(order.environment)


def unfit(channel: int) -> str | None:
    """Return why this process must not fork, None if it may: children would inherit open files and lose its threads."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        return f"{threads} threads are running"
    others = [name for name in _open_files() if int(name) not in (0, 1, 2, channel)]
    return f"these files are open: {', '.join(others)}" if others else None


def _open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of the listing itself
            os.fstat(int(entry.name))
            found.append(entry.name)
    return found


def main() -> None:
    """Load everything and fork; in a child, carry out its order."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's: it ends the runs in order
    with loading():
        load_everything()
    reason = unfit(channel.fileno())
    channel.sendall(f"{reason or READY}\n".encode())
    if reason:
        sys.exit(1)
    gc.collect()
    gc.freeze()  # otherwise the first collection in each child would copy all shared pages
    order = Parent(channel).serve()
    if order is None:
        return
    begin(order)
    from deployments.worker.child import work

    work(order)


if __name__ == "__main__":
    main()

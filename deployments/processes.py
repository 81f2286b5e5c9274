"""Run several server processes together: each has its own log, all stop together, and one that dies is named."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from catalog.privacy import closed
from deployments.definitions import ROOT

START_S = 180.0
HOST = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104  # what is asked for, and where that is looked for
GRACE_S = 25.0
"""How long a process may take to stop; a worker ends its runs in that time."""


@contextlib.contextmanager
def until_told() -> Iterator[None]:
    """Leave the block cleanly at SIGTERM or Ctrl-C, even if a shell ignores SIGINT for background jobs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the command blocked it while we loaded
        yield


@contextlib.contextmanager
def running(
    name: str, logs: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module for the block with its output in a log; then terminate it, and kill it if it does not stop."""
    with open(logs / f"{name}.log", "ab", opener=closed) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", name: str, logs: Path) -> None:
    """Wait until a process is ready. Exits with a sentence that names its log if it ended or takes minutes."""
    deadline = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"imagewright: the {name} did not start; see {logs / name}.log")
        time.sleep(0.1)


def watch(processes: Mapping[str, "subprocess.Popen[bytes]"], logs: Path) -> None:
    """Wait until one of the processes ends, then exit with a sentence that names its log."""
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                sys.exit(f"imagewright: the {name} ended by itself; see {logs / name}.log")
        time.sleep(1)


def require_free(ports: Mapping[str, int], host: str = HOST) -> None:
    """Exit if a port is in use. ports: by the option that sets each."""
    for option, port in ports.items():
        if listens(port, host):
            sys.exit(f"imagewright: port {port} is taken by another program; give a free one with {option}")


def listens(port: int, host: str = HOST) -> bool:
    """Tell whether a port of this machine is in use. host: `0.0.0.0` and `::` are tried on loopback."""
    try:
        socket.create_connection((EVERYWHERE.get(host, host), port), timeout=1).close()
    except OSError:
        return False
    return True

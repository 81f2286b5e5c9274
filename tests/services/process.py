"""Run a real program for a test: found or skipped, waited for until it answers, stopped by its own process id."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_S = 20.0
STOP_S = 5.0
PORTS, PAIRED, SHARES = range(10_240, 20_240), 10_000, 16
"""Ports for servers, how much higher the second port of a pair is, and in how many shares the processes of tests have them."""
_given: "deque[int]" = deque(maxlen=200)
"""Ports given by this process, so that none is given twice before its server has it."""


def find(program: str, package: str) -> str:
    """Return the path of a program, or skip the test."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (package {package})")
    return found


def free_port(*, pair: bool = False) -> int:
    """Return a loopback port that nobody has now. pair: for programs that also take the port 10,000 higher.

    It lies below those that the kernel gives away, where a connection of another test could take it before its server does,
    and in the share of this process of the tests, where no other one gives it away.
    """
    own = PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES :: SHARES]
    while True:
        port = secrets.choice(own)
        if port not in _given and _is_free(port) and (not pair or _is_free(port + PAIRED)):
            _given.append(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running(
    command: Sequence[str], folder: Path, port: int, environment: Mapping[str, str] | None = None,
    within_s: float = START_S,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """Start a server, wait until `port` accepts, stop it afterwards. Its output is in `folder`/output.log."""
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=folder
        )
    try:
        _wait(process, port, folder / "output.log", within_s)
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process of ours, kindly first."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def children(pid: int) -> list[int]:
    """Return the processes that `pid` started and that are still there."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def kill_sessions(pid: int) -> None:
    """Kill what a server that forks has forked, to the second generation, as a crash would."""
    for session in children(pid):
        for process in (*children(session), session):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {log.read_text()[-800:]}")
        with socket.socket() as sock:
            sock.settimeout(0.5)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not answer: {log.read_text()[-800:]}")

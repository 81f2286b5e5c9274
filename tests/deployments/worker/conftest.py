"""One Prefect server and one worker of ours, run from a copy of the tree that has one operation more: it tells what its process is."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.definitions import ROOT
from tests.services.prefect import UNRECORDED, PrefectServer, prefect_server
from tests.services.process import children, stop

PACKAGES = ("catalog", "storage", "tasks", "flows", "console", "deployments")
HOST = "here"
REQUEST = '''"""What a process is, for tests."""

from flows.registry import operation
from flows.requests.form import Request


@operation("flows.upkeep.look_around", rights="anybody")
class LookAround(Request):
    """Write down what this process is."""

    path: str
    sleep_s: float = 0
    die: int = 0
'''
FLOW = '''"""What a process is, for tests."""

import json, os, signal, sys, time
from pathlib import Path

from flows.operation import flow_of
from flows.requests import LookAround

LOADED = set(sys.modules)
VERSION = "first"


@flow_of(LookAround)
def look_around(request: LookAround) -> None:
    files = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            files[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    facts = {
        "version": VERSION, "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "group": os.getpgid(0),
        "files": files, "environment": dict(os.environ), "folder": os.getcwd(), "umask": os.umask(0o077),
        "ignored": [n for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD) if signal.getsignal(n) is signal.SIG_IGN],
        "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    }
    aside = Path(request.path + ".new")
    aside.write_text(json.dumps(facts))
    aside.rename(request.path)
    if request.die:
        os.kill(os.getpid(), request.die)
    time.sleep(request.sleep_s)
'''


@dataclass(frozen=True)
class Here:
    """A server with a worker of ours beside it, and the copy of the tree that it runs from."""

    server: PrefectServer
    tree: Path
    folder: Path

    def start(self, name: str, **fields: object) -> tuple[str, Path]:
        """Begin a run that looks around; return its id and where it will write what it saw."""
        path = self.folder / f"{name}.json"
        return self.server.start("look-around", {"path": str(path), **fields}), path

    def look(self, name: str, **fields: object) -> dict[str, Any]:
        """Have a run look around to its end; return what it saw."""
        run, path = self.start(name, **fields)
        self.server.wait_for(run, "COMPLETED")
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts

    def patient(self) -> None:
        """Wait as long as the worker may believe that nothing changed."""
        time.sleep(6)


def read_when_there(path: Path, within_s: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.05)
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def copied_tree(folder: Path) -> Path:
    tree = folder / "tree"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name)  # with what is compiled: else each process would do that again
    (tree / "flows/requests/looking.py").write_text(REQUEST)
    (tree / "flows/upkeep/look_around.py").write_text(FLOW)
    return tree


@contextmanager
def worker_of(server: PrefectServer, tree: Path, log: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker of ours from a tree; end it in order."""
    environment: Mapping[str, str] = {**server.environment, "IMAGEWRIGHT_HOST": HOST, **settings}
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.worker.workers"], env=environment, cwd=tree,
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(40)
        stop(process)


def lives(pid: int) -> bool:
    """Tell whether a process is there; one that has ended and that nobody has asked after is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(*pids: int, within_s: float = 30) -> None:
    """Wait until processes have ended."""
    deadline = time.monotonic() + within_s
    while alive := [pid for pid in pids if lives(pid)]:
        assert time.monotonic() < deadline, f"{alive} still live"
        time.sleep(0.1)


def parent_of_runs(worker: "subprocess.Popen[bytes]") -> int:
    """Return the process that a worker's runs are forked from."""
    (parent,) = children(worker.pid)
    return parent


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Here]:
    """Yield a server whose deployments are those of the copy, without a worker."""
    assert request.config.cache is not None
    folder = tmp_path_factory.mktemp("here")
    for name in ("home", "memory"):
        (folder / name).mkdir()
    settings = {
        "IMAGEWRIGHT_HOME": str(folder / "home"), "IMAGEWRIGHT_RECEIVING": str(folder / "memory"),
        "IMAGEWRIGHT_FILE_ROOTS": str(folder), "IMAGEWRIGHT_CATALOG_URL": "", "IMAGEWRIGHT_RUNS_AT_ONCE": "2",
        "IMAGEWRIGHT_ALLOWED_NETWORKS": "127.0.0.0/8",
        "IMAGEWRIGHT_QUALITY_SOCKET": str(request.config.cache.mkdir("quality") / "quality.sock"), "PATH": os.environ["PATH"], **UNRECORDED,
    }  # fmt: skip
    tree = copied_tree(folder)
    with prefect_server(folder / "server", request.config.cache.mkdir("prefect"), settings, tree=tree) as server:
        yield Here(server, tree, folder)


@pytest.fixture(scope="module")
def worker(here: Here) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a running worker of ours."""
    with worker_of(here.server, here.tree, here.folder / "worker.log") as process:
        yield process

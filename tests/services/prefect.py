"""A real Prefect server and real process workers, each a process of its own that can be killed like a machine.

Which services of a Prefect server tests turn off, and why no test misses them. The product needs all of them but those
marked so.

| service | off in | why |
|---|---|---|
| scheduler | `prefect_server` here unless `scheduled` | nothing starts by itself while a test looks; `faults/test_schedules.py` has it on, with the schedules as they are deployed |
| event persister | `conftest.py`; wherever `UNRECORDED` is | it keeps heartbeats, which only runs of workers send and only the recovery reads: their tests use the server here |
| task run recorder | `conftest.py`; wherever `UNRECORDED` is | tests that read task runs use the server here |
| logging to the API | `conftest.py` | with the recorder a third of the time; tests that read logs use the server here |
| triggers | `conftest.py`; wherever `UNRECORDED` is | the product has no automation |
| late runs | here | it renames states of runs that no worker took up; the product never asks |
| the others | the product itself, for a server of one call (`flows/server/environment.py`) | that server ends with the call: it schedules and recovers nothing |
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

from catalog.settings import Settings
from deployments.definitions import POOL, ROOT
from flows.server.environment import QUIET
from flows.server.password import CLIENT, new_password
from flows.server.same_catalog import remember_server
from tests.services.process import children, find, free_port, running
from tests.services.signed import signed

COMMAND = Path(sys.executable).with_name("imagewright")
CACHE = ROOT / ".pytest_cache" / "d" / "prefect"
"""Where pytest keeps what lasts from run to run."""
STATE_S = 120.0
START_S = 240.0
ANSWER_S = 120.0  # its SQLite gives writers no turn: on a busy machine one may wait long
BUSY = 20
WRONG_CLOCK = {"NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
"""What faketime leaves alone."""
UNRECORDED = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in ("EVENT_PERSISTER", "TASK_RUN_RECORDER", "TRIGGERS")
}
"""Settings of a server whose tests read neither its events nor its task runs."""
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class PrefectServer:
    """A running server. environment: what a command or a worker needs to talk to it. restart: after so many seconds."""

    api: str
    environment: Mapping[str, str]
    restart: Callable[[float], None] = field(repr=False)

    def ask(self, path: str, body: object | None = None) -> object:
        """Send a request to the API, POST with a body and GET without, and return the JSON answer, None if empty.

        A server whose database is busy says 503, and is asked again.
        """
        data = None if body is None else json.dumps(body).encode()
        text = self._send(signed(f"{self.api}/{path}", self.environment[CLIENT], data))
        return json.loads(text) if text else None

    def _send(self, request: urllib.request.Request) -> bytes:
        for _ in range(BUSY):
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                    body: bytes = answer.read()
                    return body
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(1)
        raise AssertionError(f"{request.full_url}: the server was busy {BUSY} times")

    def record(self, path: str, body: object | None = None) -> dict[str, object]:
        """Send a request whose answer is one record."""
        answer = self.ask(path, body)
        assert isinstance(answer, dict), answer
        return answer

    def change(self, path: str, body: object) -> None:
        """Send a PATCH request."""
        request = signed(f"{self.api}/{path}", self.environment[CLIENT], json.dumps(body).encode())
        request.method = "PATCH"
        self._send(request)

    def start(self, flow: str, request: Mapping[str, object], at: datetime | None = None) -> str:
        """Create a run of a deployment for the workers; return its id. at: when it is due, now if None."""
        deployment = self.record(f"deployments/name/{flow}/{flow}")
        due = {"scheduled_time": at.isoformat()} if at else {}
        run = self.record(
            f"deployments/{deployment['id']}/create_flow_run",
            {"parameters": {"request": request}, "state": {"type": "SCHEDULED", "state_details": due}},
        )
        return str(run["id"])

    def run(self, run_id: str) -> dict[str, object]:
        """Return a flow run."""
        return self.record(f"flow_runs/{run_id}")

    def set_state(self, run_id: str, state: str, *, force: bool = False) -> dict[str, object]:
        """Propose a state type for a run, as a button of the UI does."""
        return self.record(f"flow_runs/{run_id}/set_state", {"state": {"type": state}, "force": force})

    def beat(self, run_id: str, clock: timedelta = timedelta()) -> None:
        """Send the heartbeat that a run's process sends. clock: how far that of its host is ahead."""
        event = {
            "id": str(uuid4()), "event": "prefect.flow-run.heartbeat", "occurred": (datetime.now(UTC) + clock).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        }  # fmt: skip
        self.ask("events", [event])

    def wait_for(
        self, run_id: str, *states: str, within_s: float = STATE_S, passing: Sequence[str] = ()
    ) -> dict[str, object]:
        """Wait until a run is in one of the state types; raise AssertionError if it ends otherwise or takes too long.

        passing: final state types that it may be in on its way, as a run that is started again was declared dead first.
        """
        deadline, pause_s = time.monotonic() + within_s, 0.1
        while time.monotonic() < deadline:
            run = self.run(run_id)
            if run["state_type"] in states:
                return run
            assert run["state_type"] not in FINAL or run["state_type"] in passing, run["state"]
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, 1.0)  # each question is 15 ms of the server
        raise AssertionError(f"run {run_id} is {self.run(run_id)['state']}, not {states} within {within_s} s")

    def logs(self, run_id: str) -> list[str]:
        """Return what a run has logged, oldest first."""
        rows = self.ask(
            "logs/filter",
            {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200},
        )
        assert isinstance(rows, list)
        return [row["message"] for row in rows]

    def progress(self, run_id: str) -> float:
        """Return the percentage that the only progress artifact of a run shows, 0 before there is one."""
        wanted = {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["progress"]}}
        rows = self.ask("artifacts/filter", {"artifacts": wanted})
        assert isinstance(rows, list)
        assert len(rows) <= 1, rows
        return float(rows[0]["data"]) if rows else 0.0

    def command(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run an imagewright command against this server."""
        return subprocess.run(
            [COMMAND, *arguments], env={**self.environment, **environment}, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """A running process worker with a scratch folder and a Prefect home of its own."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    def runs(self) -> list[int]:
        """Return the processes that the worker started, to the fourth generation."""
        found, generation = [], [self.process.pid]
        for _ in range(4):
            generation = [child for parent in generation for child in children(parent)]
            found += generation
        return found

    def kill(self) -> None:
        """Kill the worker and all that it started at once, as when the machine is gone."""
        for pid in (self.process.pid, *self.runs()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def prefect_server(
    folder: Path, cache: Path, settings: Mapping[str, str], *, scheduled: bool = False, tree: Path = ROOT
) -> Iterator[PrefectServer]:
    """Start a server with its services and put the deployments on it. scheduled: with the scheduler.

    cache: a folder kept between runs of the tests, for the migrated database. settings: more environment. tree: the code
    whose deployments they are.
    """
    elsewhere = "PREFECT_API_DATABASE_CONNECTION_URL" in settings
    (folder / "prefect").mkdir(parents=True)
    database = folder / "prefect" / "prefect.db"
    shutil.copyfile(migrated_database(cache) if elsewhere else applied_database(cache), database)
    if tree != ROOT:
        _move(database, tree)
    with _running_server(folder, settings, scheduled=scheduled) as server:
        if tree == ROOT and not elsewhere:
            _remember(server)
        else:
            _apply(server, tree)
        yield server


@contextmanager
def _running_server(folder: Path, settings: Mapping[str, str], *, scheduled: bool) -> Iterator[PrefectServer]:
    home, port = folder / "prefect", free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**inherited, **QUIET, "PREFECT_HOME": str(home), CLIENT: new_password(), **settings}
    command = [sys.executable, "-m", "uvicorn", "--factory", "flows.server.app:create_app",
               "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]  # fmt: skip
    started = {
        **environment,
        "PREFECT_UI_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": str(scheduled).lower(),
    }
    with ExitStack() as process:

        def start() -> None:
            process.enter_context(running(command, folder, port, started, within_s=START_S))

        def restart(away_s: float) -> None:
            process.close()
            time.sleep(away_s)
            start()

        start()
        api = f"http://127.0.0.1:{port}/api"
        yield PrefectServer(api, {**environment, "PREFECT_API_URL": api}, restart)


@contextmanager
def worker(
    server: PrefectServer,
    folder: Path,
    host: str = "",
    *,
    queues: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    ours: bool = False,
    network: str = "",
    clock: str = "",
) -> Iterator[Worker]:
    """Run a process worker, with scratch folder and memory of its own.

    host: a host name of its own, so that it can't be asked after by its process ids. queues: that it serves, all by
    default. settings: more environment. ours: the one that forks its runs, which serves what its host does, instead of Prefect's:
    it takes 5 s more of a processor to start, and 5 s less for each run. network: the namespace that it is in, if not ours.
    clock: how far that of its host is off, as for faketime, e.g. +10m.
    """
    (folder / "memory").mkdir(parents=True)
    environment = {**server.environment, "PREFECT_HOME": str(folder / "prefect"),
                   "IMAGEWRIGHT_SCRATCH": str(folder / "scratch"),
                   "IMAGEWRIGHT_RECEIVING": str(folder / "memory"), "PREFECT_WORKER_QUERY_SECONDS": "5" if ours else "1",
                   "PREFECT_RUNNER_PROCESS_LIMIT": "0", **WRONG_CLOCK, **(settings or {})}  # fmt: skip
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL,
               "--type", "process", "--name", folder.name, *(w for q in queues for w in ("--work-queue", q))]  # fmt: skip
    command = [sys.executable, "-m", "deployments.worker.workers"] if ours else command
    within = ["ip", "netns", "exec", network] if network else []
    command = [find("faketime", "faketime"), "-f", clock, *command] if clock else command
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*within, *_on_host(host), *command],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    started = Worker(process, folder)
    try:
        yield started
    finally:
        started.kill()


def _on_host(host: str) -> list[str]:
    return ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$@"', "sh"] if host else []


@lru_cache(maxsize=1)
def can_name_hosts() -> bool:
    """Tell whether a process can be given a host name of its own here."""
    command = [*_on_host("elsewhere"), "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _apply(server: PrefectServer, tree: Path) -> None:
    """Put the deployments on the server."""
    subprocess.run(
        [sys.executable, "-m", "deployments.apply"], env=dict(server.environment), cwd=tree, check=True,
        capture_output=True, timeout=START_S,
    )  # fmt: skip


def _move(database: Path, tree: Path) -> None:
    """Have the deployments of a database run from another tree, so that only what this one has otherwise is put there."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE deployment SET pull_steps = replace(pull_steps, ?, ?)", (f'"{ROOT}"', f'"{tree}"'))


def _remember(server: PrefectServer) -> None:
    """Write down what putting the deployments on the server would: which catalog its workers write."""
    environment = server.environment
    url = environment.get("IMAGEWRIGHT_CATALOG_URL", "")
    remember_server(Settings(home=Path(environment["IMAGEWRIGHT_HOME"]), catalog_url=url), server.api)


def applied_database(cache: Path) -> Path:
    """Return a database with our deployments on it: putting them there takes 6 s of a processor, a copy none."""
    migrated = migrated_database(cache)
    digest = hashlib.sha256(migrated.parent.name.encode())
    for file in sorted(file for name in ("flows", "deployments") for file in (ROOT / name).rglob("*.py")):
        digest.update(file.read_bytes())
    place = cache / f"applied-{digest.hexdigest()[:16]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in (*cache.glob("applied-*"), cache / "aside"):
                shutil.rmtree(old, ignore_errors=True)
            (cache / "aside" / "prefect").mkdir(parents=True)
            shutil.copyfile(migrated, cache / "aside" / "prefect" / "prefect.db")
            home = {"IMAGEWRIGHT_HOME": str(cache / "aside" / "home"), "IMAGEWRIGHT_CATALOG_URL": ""}
            with _running_server(cache / "aside", home, scheduled=False) as server:
                _apply(server, ROOT)
            with closing(sqlite3.connect(cache / "aside" / "prefect" / "prefect.db")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (cache / "aside").rename(place)
    return place / "prefect" / "prefect.db"


def migrated_database(cache: Path = CACHE) -> Path:
    """Return a migrated, empty database of the Prefect that is installed: the migrations take 12 s, a copy none."""
    from importlib.metadata import version

    place = cache / f"prefect-{version('prefect')}"
    database = place / "prefect.db"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            aside = cache / "aside"
            shutil.rmtree(aside, ignore_errors=True)
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            environment = {n: v for n, v in os.environ.items() if not n.startswith("PREFECT_")}
            subprocess.run(
                command,
                env={**environment, **QUIET, "PREFECT_HOME": str(aside)},
                check=True,
                capture_output=True,
            )
            aside.rename(place)
    return database

"""Everything on one machine, on loopback: Prefect server, worker, deployments, console. `imagewright serve`, `make serve`."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from catalog.settings import Settings, load_settings
from deployments.definitions import ROOT, definitions
from flows.embedded import answers
from flows.environment import QUIET, address_file, leave_address

START_S = 180.0
HOST = "127.0.0.1"
PICKED_UP = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
"""How often the worker asks for runs: a person waits for it. Prefect's 10 s are meant for many workers on one server."""


def main() -> None:
    """Run until Ctrl-C or SIGTERM; a process that dies takes the others with it and its log is named."""
    parser = argparse.ArgumentParser(prog="imagewright serve", description=main.__doc__)
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--console-port", type=int, default=4201)
    options = parser.parse_args()
    settings = load_settings()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job starts with it ignored
    with contextlib.suppress(KeyboardInterrupt):
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGINT}
        )  # the command held it back while we loaded
        serve(settings, options.port, options.console_port)


def serve(settings: Settings, port: int, console_port: int) -> None:
    """Start everything, say where it is, and watch it. Exits with a sentence where a port is taken."""
    _check_free(port, console_port)
    url = f"http://{HOST}:{port}/api"
    environment = {
        **QUIET,
        **PICKED_UP,
        **os.environ,
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }
    os.environ.update(environment)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            _running(
                "server", logs, environment, "prefect", "server", "start", "--host", HOST, "--port", str(port)
            )
        )
        _wait(server, "server", lambda: answers(port), logs)
        _apply()
        pool = definitions()[0].work_pool.name
        worker = stack.enter_context(
            _running(
                "worker", logs, environment, "prefect", "worker", "start", "--pool", pool, "--type", "process"
            )
        )
        console = stack.enter_context(
            _running("console", logs, environment, "console", "--host", HOST, "--port", str(console_port))
        )
        _wait(console, "console", lambda: _listens(console_port), logs)
        leave_address(settings, url)
        stack.callback(address_file(settings).unlink, missing_ok=True)
        print(
            f"images         http://{HOST}:{console_port}\nPrefect UI     http://{HOST}:{port}\n"
            f"logs           {logs}\nstop with Ctrl-C",
            flush=True,
        )
        _watch({"server": server, "worker": worker, "console": console}, logs)


@contextlib.contextmanager
def _running(
    name: str, logs: Path, environment: dict[str, str], *arguments: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module with its output in a log; end it, gently first, when the block ends."""
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", name: str, ready: Callable[[], bool], logs: Path) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"imagewright: the {name} did not start; see {logs / name}.log")
        time.sleep(0.1)


def _check_free(port: int, console_port: int) -> None:
    """Exit where something listens already: the deployments would be put on a server that is somebody else's."""
    if port == console_port:
        sys.exit(f"imagewright: --port and --console-port are both {port}; give two different ports")
    for option, one in {"--port": port, "--console-port": console_port}.items():
        if _listens(one):
            sys.exit(f"imagewright: port {one} is taken by another program; give a free one with {option}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _apply() -> None:
    from deployments.apply import apply

    print(f"deployments    {', '.join(asyncio.run(apply()))}", flush=True)


def _watch(processes: dict[str, "subprocess.Popen[bytes]"], logs: Path) -> None:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                sys.exit(f"imagewright: the {name} ended by itself; see {logs / name}.log")
        time.sleep(1)


if __name__ == "__main__":
    main()

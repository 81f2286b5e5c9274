"""A Prefect server for one call, if none is running: started during the import of Prefect, stopped with the caller."""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from catalog.errors import ImagewrightError
from flows.server.environment import EMBEDDED, QUIET
from flows.server.password import CLIENT, SERVER, new_password

START_S = 120.0
PR_SET_PDEATHSIG = 1


class ServerNotStarted(ImagewrightError):
    """The embedded Prefect server did not come up."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Prefect's embedded server did not start: {reason}; run `imagewright serve` and see its log")


@contextlib.contextmanager
def embedded_server() -> Iterator[threading.Event]:
    """Start a server on a free loopback port and set PREFECT_API_URL; yield an event that is set when it answers.

    It takes 4 to 5 s on a migrated database, 12 s the first time; importing Prefect meanwhile (2.5 s) adds nothing.
    """
    port = _free_port()
    password = new_password()  # for this call alone: other users of this machine may not use the server
    server = _launch(port, password)
    given = os.environ.get(CLIENT)
    os.environ[CLIENT] = password
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    ready = threading.Event()
    threading.Thread(target=_watch, args=(port, server, ready), daemon=True).start()
    try:
        yield ready
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        os.environ.pop(CLIENT)
        if given is not None:
            os.environ[CLIENT] = given
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait()


def wait_until_ready(ready: threading.Event) -> None:
    """Block until the server answers. Raises ServerNotStarted."""
    if not ready.wait(START_S):
        raise ServerNotStarted(f"no answer within {START_S:.0f} s")


def _launch(port: int, password: str) -> subprocess.Popen[bytes]:
    environment = {
        **QUIET,
        **EMBEDDED,
        **os.environ,
        CLIENT: password,
        SERVER: password,
        "PREFECT_UI_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    command = [
        sys.executable,
        "-P",
        "-m",
        "uvicorn",
        "--factory",
        "flows.server.app:create_app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "error",
        "--lifespan",
        "on",
    ]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509
    )


def _die_with_parent() -> None:
    """Have the kernel end the server when the caller dies, even by SIGKILL, and let only the caller get Ctrl-C."""
    os.setpgrp()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch(port: int, server: subprocess.Popen[bytes], ready: threading.Event) -> None:
    while server.poll() is None:
        if answers(port):
            ready.set()
            return
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Tell whether a healthy Prefect server answers on a loopback port."""
    probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        probe.request("GET", "/api/health")
        return probe.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        probe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

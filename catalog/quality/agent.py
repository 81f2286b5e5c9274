"""The quality agent: one process that has Great Expectations loaded and answers on a Unix socket.

Loading it takes 8 s of CPU and 240 MB (measured), ten times an add of a small image. So it is loaded once, during the
transfer, in a process of its own that later runs reuse and that ends when idle. Protocol: one connection per request,
one JSON line in (the request), one JSON line out (a report or an error).
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from catalog.files import open_locked
from catalog.loading import loading
from catalog.privacy import closed, file_mode, make_folder
from catalog.quality.facts import ImageFacts
from catalog.records import QualityReport
from catalog.settings import Settings

IDLE_S = 600.0
POLL_S = 2.0
START_S = 120.0


class AgentFailed(RuntimeError):
    """The agent did not start or broke while answering. An internal fault, not a failed check."""


def socket_path(settings: Settings) -> Path:
    """Return the path of the agent's socket: one per home unless the settings name a path."""
    return settings.quality_socket or settings.home / "run" / "quality.sock"


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield an address for `path` that fits the 108 bytes of a Unix socket address, however deep the folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def start_agent(settings: Settings) -> None:
    """Start the agent if none answers; return at once. Starting two is harmless: the second finds the lock taken."""
    path = socket_path(settings)
    if _answers(path):
        return
    make_folder(path.parent)
    environment = {**os.environ, "GX_ANALYTICS_ENABLED": "false"}
    with open(path.parent / "quality.log", "ab", opener=closed) as log:
        subprocess.Popen(
            [sys.executable, "-m", "catalog.quality.agent", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )


def check_image(facts: ImageFacts, settings: Settings) -> QualityReport:
    """Let the agent run the image suite over `facts`. Raises AgentFailed."""
    return _ask({"verb": "image", "facts": facts.model_dump()}, settings)


def check_catalog(catalog_url: str, docs_folder: Path, settings: Settings) -> QualityReport:
    """Let the agent run the catalog suite on the database. Raises AgentFailed."""
    return _ask({"verb": "catalog", "url": catalog_url, "docs": str(docs_folder)}, settings)


def _ask(request: dict[str, object], settings: Settings) -> QualityReport:
    start_agent(settings)
    with _connected(socket_path(settings)) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(_line(connection) or b'{"error": "the quality agent died"}')
    if "error" in answer:
        raise AgentFailed(answer["error"])
    return QualityReport.model_validate(answer)


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    """Wait until the agent listens (loading takes seconds), then yield a connection."""
    deadline = time.monotonic() + START_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(START_S)
        while True:
            try:
                with _short(path) as address:
                    connection.connect(address)
                break
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > deadline:
                    raise AgentFailed(f"no quality agent at {path}; see quality.log beside it") from error
                time.sleep(0.05)
        yield connection


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with _short(path) as address:
                probe.connect(address)
        except OSError:
            return False
        return True


def _line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.readline()


def serve(path: Path, idle_s: float = IDLE_S) -> None:
    """Listen at `path` until idle for `idle_s` seconds. Returns at once if another agent holds the lock."""
    try:
        lock = open_locked(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, wait=False)
    except BlockingIOError:
        return
    try:
        _listen(path, idle_s)
    finally:
        os.close(lock)


def _listen(path: Path, idle_s: float) -> None:
    with loading(for_good=True):
        import catalog.quality.run  # noqa: F401  # before anybody is answered

    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with _short(path) as address:
            listener.bind(address)
        path.chmod(file_mode())
        listener.listen(64)
        listener.settimeout(POLL_S)
        _answer_until_idle(listener, path, idle_s)
    path.unlink(missing_ok=True)


def _answer_until_idle(listener: socket.socket, path: Path, idle_s: float) -> None:
    """Answer requests until idle, or until the socket's file is gone because its home was removed."""
    asked_at = time.monotonic()
    while path.exists() and time.monotonic() - asked_at < idle_s:
        with contextlib.suppress(TimeoutError):
            _answer(listener.accept()[0])
            asked_at = time.monotonic()


def _answer(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(START_S)
        request = _line(connection)
        if not request:
            return
        try:
            answer = _report(json.loads(request)).model_dump_json()
        except Exception as error:  # noqa: BLE001  # whatever broke is told to the asker; the agent lives on
            answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
        with contextlib.suppress(OSError):
            connection.sendall(answer.encode() + b"\n")


def _report(request: dict[str, str]) -> QualityReport:
    from catalog.quality import run

    if request["verb"] == "image":
        return run.check_image(ImageFacts.model_validate(request["facts"]))
    return run.check_catalog(request["url"], Path(request["docs"]))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else IDLE_S)

"""The console with its API as people from afar reach it: in this process, over a socket, on a home of its own.

There is no Prefect server: what needs one is told that it does not answer.
"""

import contextvars
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from argon2 import PasswordHasher
from prefect.settings import PREFECT_API_URL, temporary_settings

from catalog.repository.identities import proofs
from catalog.settings import load_settings
from console.app import create_app
from tests.console.api.v1.people import everybody
from tests.services.process import free_port

AUTH = "imagewright:operators"
QUICK = {
    "ALLOWED_NETWORKS": "127.0.0.0/8", "RETRY_DELAY_S": "0.02", "RETRIES": "3", "CATALOG_URL": "", "READ_TIMEOUT_S": "60",
}  # fmt: skip


@dataclass(frozen=True)
class Service:
    """A running service. tokens: of each kind of person and robot, by their names in `people.everybody`."""

    url: str
    port: int
    home: Path
    tokens: Mapping[str, str]


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Serve a home below a folder until the block ends; the environment names it meanwhile."""
    home = folder / "home"
    (folder / "memory").mkdir(parents=True)
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        named = {"HOME": str(home), "RECEIVING": str(folder / "memory"), "FILE_ROOTS": str(folder), **QUICK}
        for name, value in named.items():
            patch.setenv(f"IMAGEWRIGHT_{name}", value)
        patch.setattr(proofs, "_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        tokens = {name: headers.get("Authorization", "").partition(" ")[2] for name, headers in everybody().items()}
        nowhere = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
        with temporary_settings(nowhere), _answering() as port:
            yield Service(f"http://127.0.0.1:{port}", port, home, tokens)


@contextmanager
def _answering() -> Iterator[int]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(load_settings(), AUTH), "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=contextvars.copy_context().run, args=(server.run,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(30)

"""A real `imagewright serve`: Prefect server, process worker and deployments, with a home of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from tests.services.prefect import CACHE, applied_database
from tests.services.process import free_port
from tests.services.signed import signed

START_S = 600.0
BUSY = 40
COMMAND = Path(sys.executable).with_name("imagewright")


@dataclass(frozen=True)
class Serving:
    """Where it answers. environment: what a command needs to work on the same home; console: its URL."""

    url: str
    home: Path
    environment: dict[str, str]
    console: str

    @property
    def api(self) -> str:
        """URL of the Prefect API."""
        return f"{self.url}/api"

    def ask(self, path: str, body: object | None = None) -> object:
        """POST to the API (GET without a body) and return the JSON answer. One whose database is busy is asked again."""
        data = None if body is None else json.dumps(body).encode()
        for _ in range(BUSY):
            try:
                with urllib.request.urlopen(signed(f"{self.api}/{path}", self.auth, data), timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(0.5)
        raise AssertionError(f"{path}: the server was busy {BUSY} times")

    @property
    def auth(self) -> str:
        """`user:password`, as anybody who may read the home finds it."""
        return (self.home / "server.auth").read_text().strip()

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an imagewright command on the same home."""
        return subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )


@contextmanager
def serving(folder: Path, begins: Literal["first", "again"] = "again", /, **environment: str) -> Iterator[Serving]:
    """Start `imagewright serve` on an ephemeral port and stop it with SIGINT.

    begins: the first start takes 15 s longer, since Prefect's database is made and gets the deployments; at others they are there,
    and so is the quality agent of the checkout's tests.
    environment: more settings.
    """
    port, console_port = free_port(), free_port()
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    settings = {"IMAGEWRIGHT_HOME": str(home), "PREFECT_HOME": str(folder / "prefect"), **environment}
    everything = {**inherited, **settings}
    if begins == "again":
        (folder / "prefect").mkdir(exist_ok=True)
        shutil.copyfile(applied_database(CACHE), folder / "prefect" / "prefect.db")
        (CACHE.parent / "quality").mkdir(exist_ok=True)
        everything.setdefault("IMAGEWRIGHT_QUALITY_SOCKET", str(CACHE.parent / "quality" / "quality.sock"))
    started_in = folder / "somewhere"
    # A folder named like a package of ours, where the command is started, must not matter.
    (started_in / "catalog").mkdir(parents=True, exist_ok=True)
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port), "--console-port", str(console_port)],
            env=everything,
            stdout=log,
            stderr=log,
            cwd=started_in,
        )
    try:
        _wait(process, home / "run" / "server.json", folder / "serve.log")
        yield Serving(f"http://127.0.0.1:{port}", home, everything, f"http://127.0.0.1:{console_port}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def _wait(process: "subprocess.Popen[bytes]", address: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not address.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"imagewright serve did not start: {log.read_text()}")
        time.sleep(0.1)

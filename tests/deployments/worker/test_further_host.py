"""`imagewright worker` as a further host runs it: for a server and a catalog elsewhere, until it is told to end."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.services.postgresql import new_database
from tests.services.prefect import COMMAND, UNRECORDED, PrefectServer, prefect_server
from tests.services.process import children, free_port
from tests.services.signed import basic

ADDRESS = "127.0.0.2"
"""Of this machine, and not the one that is listened on by default."""
pytestmark = pytest.mark.xdist_group("worker")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[PrefectServer]:
    """Yield a server whose workers write a catalog in PostgreSQL."""
    assert request.config.cache is not None
    folder = tmp_path_factory.mktemp("further")
    settings = {
        "IMAGEWRIGHT_HOME": str(folder / "home"), "IMAGEWRIGHT_CATALOG_URL": new_database(), "PATH": os.environ["PATH"], **UNRECORDED,
        "IMAGEWRIGHT_FILE_ROOTS": str(folder), "IMAGEWRIGHT_RECEIVING": str(folder),
        "IMAGEWRIGHT_QUALITY_SOCKET": str(request.config.cache.mkdir("quality") / "quality.sock"),
    }  # fmt: skip
    with prefect_server(folder / "server", request.config.cache.mkdir("prefect"), settings) as started:
        yield started


@contextmanager
def further_host(server: PrefectServer, folder: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    environment = {**server.environment, "IMAGEWRIGHT_HOME": str(folder / "home"), "IMAGEWRIGHT_HOST": "further",
                   "IMAGEWRIGHT_HOST_ADDRESS": f"http://{ADDRESS}:{port}"}  # fmt: skip
    command = [str(COMMAND), "worker", "--console-port", str(port), "--console-host", ADDRESS]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=folder)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said_by(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    lines = []
    while line := process.stdout.readline():
        lines.append(line)
        if line.startswith("stop with"):
            return "".join(lines)
    raise AssertionError(f"it ended: {process.communicate()[1]}")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_it_says_what_it_serves_works_and_ends_in_order(
    server: PrefectServer, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    with further_host(server, tmp_path, port) as process:
        said = said_by(process)
        assert "host           further" in said
        assert "host-further:prompt" in said
        assert server.api in said
        run = server.start("set-account", {"name": f"by-{number.name}", "quota_images": 3})
        server.wait_for(run, "COMPLETED")
        page = Request(f"http://{ADDRESS}:{port}/", headers=basic(server.environment["PREFECT_API_AUTH_STRING"]))
        with urlopen(page, timeout=30) as answer:
            assert answer.status == 200
        started = children(process.pid)
        process.send_signal(number)
        assert process.wait(60) in (0, 130)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in started):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"PREFECT_API_URL": ""}, 2, "PREFECT_API_URL"),
        (
            {"PREFECT_API_URL": "http://prefect.invalid:4200/api", "IMAGEWRIGHT_CATALOG_URL": ""},
            2,
            "IMAGEWRIGHT_CATALOG_URL",
        ),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, 1, "does not answer"),
        ({"PREFECT_API_AUTH_STRING": "imagewright:wrong"}, 1, "refuses the password"),
        ({"IMAGEWRIGHT_CATALOG_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none"}, 1, "catalog"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(
    server: PrefectServer, tmp_path: Path, changed: dict[str, str], code: int, said: str
) -> None:
    environment = {**server.environment, "IMAGEWRIGHT_HOME": str(tmp_path / "home"), **changed}
    ended = subprocess.run([COMMAND, "worker"], env={n: v for n, v in environment.items() if v}, capture_output=True, text=True,
                           check=False, timeout=120)  # fmt: skip
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    assert said in ended.stderr
    assert ended.stderr.startswith("imagewright: ")
    assert ended.stderr.count("\n") == 1, ended.stderr

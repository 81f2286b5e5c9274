"""A command that would read another catalog than the server's workers write says so; no request is made for it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.settings import load_settings
from deployments.definitions import ROOT
from flows.command.reading import READING
from flows.server.environment import ServerAddress, address_file, write_address
from flows.server.same_catalog import identity, remember_server
from tests.services.serving import COMMAND

FAR = "http://prefect.example:4200/api"


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home that knows no server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for file in (home / "run").glob("*.json"):
        file.unlink()
    return home


def ran(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    everything = {**os.environ, **environment}
    return subprocess.run([COMMAND, *words], env=everything, capture_output=True, text=True, check=False, timeout=60)


ARGUMENTS = {"show": ["x"], "lineage": ["x"], "latest": ["x"], "diff": ["2026-01-01T00:00:00Z"], "promotions": ["x"]}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("command", READING)
def test_with_a_server_and_no_catalog_no_reading_command_answers_of_its_own(command: str) -> None:
    done = ran(command, *ARGUMENTS.get(command, []), PREFECT_API_URL=FAR)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "IMAGEWRIGHT_CATALOG_URL" in done.stderr
    assert "prefect.example" in done.stderr


@pytest.mark.usefixtures("alone")
def test_a_flow_from_here_does_not_write_another_catalog_either() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        done = ran("delete-image", "--image-ids", "x", PREFECT_API_URL=url)
    assert done.returncode == 1
    assert "IMAGEWRIGHT_CATALOG_URL" in done.stderr


def test_a_catalog_that_was_named_is_read(alone: Path) -> None:
    done = ran("images", "--json", PREFECT_API_URL=FAR, IMAGEWRIGHT_CATALOG_URL=f"sqlite:///{alone}/other.db")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_the_home_whose_deployments_are_on_the_server_is_read(alone: Path) -> None:
    remember_server(load_settings(), "http://127.0.0.1:4200/api")
    assert ran("images", PREFECT_API_URL="http://localhost:4200/api").returncode == 0
    assert ran("images", PREFECT_API_URL="http://localhost:4300/api").returncode == 1


def test_another_catalog_than_the_one_on_record_is_named(alone: Path) -> None:
    """Also with a catalog named, and also by the server of this home, which answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        theirs = identity("postgresql+psycopg://user:secret@db.example/images")
        write_address(address_file(load_settings()), ServerAddress(api_url=url, pid=os.getpid(), catalog=theirs))
        for environment in (
            {},
            {"PREFECT_API_URL": url},
            {"IMAGEWRIGHT_CATALOG_URL": f"sqlite:///{alone}/x.db"},
        ):
            done = ran("images", **environment)
            assert done.returncode == 1, environment
            assert "postgresql+psycopg://db.example/images" in done.stderr
    assert "secret" not in address_file(load_settings()).read_text()
    assert ran("images").returncode == 0, "a server that is gone writes nothing"


def test_asking_needs_no_prefect_and_no_request(alone: Path) -> None:
    remember_server(load_settings(), FAR)
    code = (
        "import sys, os\n"
        "from catalog.settings import load_settings\n"
        "from flows.server.same_catalog import require_same_catalog\n"
        "require_same_catalog(load_settings(), os.environ)\n"
        "sys.exit(len({m for m in sys.modules if m.partition('.')[0] in ('prefect', 'httpx', 'starlette')}))\n"
    )
    environment = {**os.environ, "PREFECT_API_URL": FAR}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)

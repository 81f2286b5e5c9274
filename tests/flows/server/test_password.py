"""The password of the server: made once, found by our own processes, never given to a server that is somebody else's."""

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalog.settings import load_settings
from flows.server.environment import ServerAddress, address_file, prepare, running_server, write_address
from flows.server.password import CLIENT, SERVER, password_file, set_password, where_it_lies


@pytest.fixture(autouse=True)
def _no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (CLIENT, SERVER, "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")  # so that what `prepare` sets is taken back
        monkeypatch.delenv(name)


def test_many_that_start_at_once_make_one_password() -> None:
    settings = load_settings()

    def start(_: int) -> str:
        environment: dict[str, str] = {}
        return set_password(settings, environment) + environment[CLIENT] + environment[SERVER]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(32)))) == 1
    assert password_file(settings).stat().st_mode & 0o777 == 0o600
    assert not list(settings.home.glob(".server.auth*"))


@pytest.mark.parametrize("name", [CLIENT, SERVER])
def test_a_password_that_was_given_is_taken_and_not_written_down(name: str) -> None:
    settings = load_settings()
    environment = {name: "admin:pw"}
    assert set_password(settings, environment) == "admin:pw"
    assert (environment[CLIENT], environment[SERVER]) == ("admin:pw", "admin:pw")
    assert not password_file(settings).exists()
    assert "admin:pw" not in where_it_lies(settings, "admin:pw")


def test_only_the_server_of_this_home_gets_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    password = set_password(settings, {})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        address = ServerAddress(api_url=f"http://127.0.0.1:{port}/api", pid=os.getpid())
        write_address(address_file(settings), address)
        for foreign in (f"http://prefect.example:{port}/api", "http://127.0.0.1:1/api"):
            monkeypatch.setenv("PREFECT_API_URL", foreign)
            prepare(settings)
            assert CLIENT not in os.environ, foreign
        monkeypatch.setenv("PREFECT_API_URL", f"http://localhost:{port}/api")
        prepare(settings)
        assert os.environ[CLIENT] == password


def test_whoever_took_the_port_of_a_server_that_died_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    set_password(settings, {})
    ended = subprocess.Popen(["true"])
    ended.wait()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        write_address(address_file(settings), ServerAddress(api_url=url, pid=ended.pid))
        assert running_server(settings) is None
        monkeypatch.setenv("PREFECT_API_URL", url)
        prepare(settings)
        assert CLIENT not in os.environ

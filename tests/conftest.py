"""What every test may use: a home of its own, and one Prefect server for all tests marked `prefect`."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# Plain functions of tasks emit events: without a server to talk to, Prefect would start one in this process.
os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")

SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    # A few tests need these and start a server of their own; without them a flow test takes a third of the time.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that share the Prefect server in one process: it is started once."""
    for item in items:
        if item.get_closest_marker("prefect"):
            item.add_marker(pytest.mark.xdist_group("prefect"))
            item.fixturenames.insert(0, "prefect_server")  # type: ignore[attr-defined]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Return an empty home that the settings name, with loopback sources and the test's folder allowed."""
    place = tmp_path / "home"
    memory = tmp_path / "memory"
    for folder in (place, memory):
        folder.mkdir()
    socket = request.config.cache.mkdir("quality")  # shared: the agent loads for seconds
    for name, value in {
        "HOME": str(place),
        "RECEIVING": str(memory),
        "ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "FILE_ROOTS": str(tmp_path),
        "QUALITY_SOCKET": str(socket / "quality.sock"),
        "RETRY_DELAY_S": "0.05",
        "CATALOG_URL": "",
    }.items():
        monkeypatch.setenv(f"IMAGEWRIGHT_{name}", value)
    return place


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the API URL of a Prefect server that ends with the tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    for name, value in SERVER.items():
        patch.setenv(name, value)
    patch.delenv("PREFECT_API_URL", raising=False)
    from flows.embedded import embedded_server, wait_until_ready

    with ExitStack() as stack:
        stack.callback(patch.undo)
        ready = stack.enter_context(embedded_server())
        wait_until_ready(ready)
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            PREFECT_HOME,
            PREFECT_LOGGING_TO_API_ENABLED,
            PREFECT_RESULTS_PERSIST_BY_DEFAULT,
            temporary_settings,
        )

        url = os.environ["PREFECT_API_URL"]
        stack.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: url,
                    PREFECT_HOME: Path(os.environ["PREFECT_HOME"]),
                    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                    PREFECT_LOGGING_TO_API_ENABLED: False,
                    PREFECT_RESULTS_PERSIST_BY_DEFAULT: False,
                }
            )
        )
        yield url

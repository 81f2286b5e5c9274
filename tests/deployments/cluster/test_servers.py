"""Two Prefect servers as the compose file has them: one database, and Redis by which they tell each other."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient, PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.definitions import ROOT
from tests.deployments.cluster.files import compose
from tests.services.postgresql import new_database
from tests.services.process import find, free_port

pytestmark = [pytest.mark.long, pytest.mark.prefect]
PASSWORD = "imagewright:of-a-test"
START_S = 120.0


@contextmanager
def started(*command: str | Path, folder: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{Path(command[0]).name}-{free_port()}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/api/ready", timeout=5) as answer:
            return HTTPStatus(answer.status) is HTTPStatus.OK
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield what a server of the compose file gets, its services being those of this test."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    catalog, prefect = (new_database(empty=True) for _ in range(2))
    service = compose()["services"]["prefect"]
    urls = {
        "IMAGEWRIGHT_CATALOG_URL": catalog,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect.replace("+psycopg", "+asyncpg"),
    }
    assert set(urls) <= set(service["environment"])
    redis = [
        find("redis-server", "redis-server"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--requirepass",
        "of-a-test",
        "--save",
        "",
    ]
    with started(*redis, folder=folder, environment={}):
        yield {
            **{name: value for name, value in service["environment"].items() if name != "PREFECT_API_URL"}, **urls,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder), "IMAGEWRIGHT_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_AUTH_STRING": PASSWORD,
            "PREFECT_REDIS_MESSAGING_URL": f"redis://:of-a-test@127.0.0.1:{port}/0",
            "PREFECT_SERVER_DOCKET_URL": f"redis://:of-a-test@127.0.0.1:{port}/1",
        }  # fmt: skip


@pytest.fixture(scope="module")
def servers(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the addresses of two servers whose database the file's own command made."""
    folder = tmp_path_factory.mktemp("servers")
    migrate = compose()["services"]["migrate"]["command"]
    subprocess.run(migrate, env=settings, cwd=ROOT, check=True, capture_output=True, timeout=300)
    with ExitStack() as stack:
        addresses = []
        for _ in range(2):
            port = free_port()
            command = [sys.executable, "-m", "flows.server.app", "--port", str(port)]
            process = stack.enter_context(started(*command, folder=folder, environment=settings))
            addresses.append(f"http://127.0.0.1:{port}")
            deadline = time.monotonic() + START_S
            while not ready(addresses[-1]):
                assert process.poll() is None, [log.read_text() for log in folder.iterdir()]
                assert time.monotonic() < deadline
                time.sleep(0.5)
        yield addresses[0], addresses[1]


def test_what_is_told_to_one_is_heard_at_the_other(servers: tuple[str, str]) -> None:
    first, second = servers

    async def heard() -> str:
        wanted = EventFilter(event=EventNameFilter(name=["imagewright.test"]))
        async with (
            PrefectEventSubscriber(f"{second}/api", filter=wanted) as subscriber,
            PrefectEventsClient(f"{first}/api") as client,
        ):
            await client.emit(Event(event="imagewright.test", resource={"prefect.resource.id": "x"}))
            async for event in subscriber:
                return event.event
        return ""

    with temporary_settings({PREFECT_API_AUTH_STRING: PASSWORD, PREFECT_API_URL: f"{first}/api"}):
        assert asyncio.run(asyncio.wait_for(heard(), 60)) == "imagewright.test"


def test_schedules_make_each_run_once(servers: tuple[str, str], settings: dict[str, str]) -> None:
    first, second = servers
    apply = [sys.executable, "-m", "deployments.apply"]
    subprocess.run(apply, env={**settings, "PREFECT_API_URL": f"{first}/api"}, cwd=ROOT, check=True, timeout=300)
    told = {PREFECT_API_AUTH_STRING: PASSWORD, PREFECT_API_URL: f"{second}/api"}
    with temporary_settings(told), get_client(sync_client=True) as client:
        deadline = time.monotonic() + START_S
        while len(client.read_flow_runs(limit=200)) < 5:
            assert time.monotonic() < deadline, "no schedule fires"
            time.sleep(1)
        time.sleep(5)  # a turn of the scheduler, at whichever of the two
        moments = [(run.deployment_id, run.expected_start_time) for run in client.read_flow_runs(limit=200)]
    assert len(moments) == len(set(moments))

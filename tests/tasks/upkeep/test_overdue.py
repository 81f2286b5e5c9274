"""A recovery that comes no more is said, by the server's clock."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Completed, Running
from starlette.testclient import TestClient

from catalog.settings import load_settings
from console.app import create_app
from console.look.templates import TEMPLATES
from console.overdue import Overdue
from tasks.upkeep import overdue

pytestmark = pytest.mark.prefect
POOL, NAME = "overdue-tests", "recover-runs"


@pytest.fixture
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    """Yield a client of a server that has the deployment since now."""
    from flows import recover_runs

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        identity = client.create_deployment(flow_id=client.create_flow(recover_runs), name=NAME, work_pool_name=POOL)
        yield client
        client.delete_deployment(identity)


def complete_one(client: SyncPrefectClient) -> None:
    deployment = client.read_deployment_by_name(f"{NAME}/{NAME}")
    run = client.create_flow_run_from_deployment(deployment.id)
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Completed(), force=True)


def test_the_age_of_the_newest_completed_recovery_decides(
    client: SyncPrefectClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete_one(client)
    assert overdue.recovery_overdue(NAME) is None
    monkeypatch.setattr(overdue, "LATE", timedelta(seconds=2))
    time.sleep(4)
    assert "runs whose process died are not started again" in str(overdue.recovery_overdue(NAME))
    complete_one(client)
    assert overdue.recovery_overdue(NAME) is None


def test_every_page_says_so(client: SyncPrefectClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "LATE", timedelta(seconds=-3600))
    monkeypatch.setitem(TEMPLATES.env.globals, "overdue", Overdue())
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as pages:
        deadline = time.monotonic() + 20
        while "are not started again" not in pages.get("/").text:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "are not started again" in pages.get("/images/nothing").text


def test_a_server_that_does_not_answer_is_nobodys_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert overdue.recovery_overdue(NAME) is None

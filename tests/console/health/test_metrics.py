"""Health, readiness and metrics, as a scraper gets them."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Host
from catalog.settings import load_settings
from console.app import create_app
from console.health import catalog_metrics, run_metrics, storage_metrics
from console.health.run_metrics import error_of
from tests.flows.managed import placed, register
from tests.services.process import free_port

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def client_of(auth: str = "", client: str = "127.0.0.1") -> TestClient:
    return TestClient(create_app(load_settings(), auth), base_url="http://127.0.0.1", client=(client, 1))


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no Prefect server, and each look be a new one."""
    for module in (catalog_metrics, run_metrics, storage_metrics):
        monkeypatch.setattr(module, "FRESH_S", 0.0)
    monkeypatch.setattr("console.health.remembered.REST", 0)
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        yield


def samples(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("alone")
def test_what_the_catalog_holds_and_what_its_log_tells() -> None:
    client = client_of()
    before = samples(client)
    assert value(before, "imagewright_catalog_up") == 1
    placed(b"x" * 1000)
    image = placed(b"x" * 1000)
    until(lambda: value(samples(client), "imagewright_images", status="Ready") == 2)
    found = samples(client)
    assert value(found, "imagewright_images_bytes", status="Ready") == 2000
    assert value(found, "imagewright_storage_replicas", image_storage="default", status="Ready") == 2
    assert value(found, "imagewright_storage_logical_bytes", image_storage="default") == 2000
    stored = value(found, "imagewright_storage_stored_bytes", image_storage="default")
    assert stored is not None
    assert 0 < stored < 2000
    assert value(found, "imagewright_storage_dedup_ratio", image_storage="default") == pytest.approx(2000 / stored)
    assert value(found, "imagewright_storage_unverified_replicas", image_storage="default") == 2
    assert value(found, "imagewright_log_entries_total", event="imagewright.image.ready") == 2
    landed = value(found, "imagewright_operation_bytes_total", operation="land", measure="size_bytes")
    assert landed == 2000
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        proven = change.replica(image.id, "default").model_copy(update={"verified_at": change.now()})
        change.save_replica(proven, event="imagewright.replica.verified")
    name = "imagewright_storage_last_verification_age_seconds"
    until(lambda: value(samples(client), name, image_storage="default") is not None)
    age = value(samples(client), name, image_storage="default")
    assert age is not None
    assert 0 <= age < 10


@pytest.mark.usefixtures("alone")
def test_room_and_chips_of_storages_and_one_that_is_away(tmp_path: Path) -> None:
    placed()
    register("away", tmp_path / "away")
    (tmp_path / "away").write_text("a file, where its folder was")
    client = client_of()
    until(lambda: value(samples(client), "imagewright_storage_chips", kind="image", storage="default") is not None)
    found = samples(client)
    assert (value(found, "imagewright_storage_chips", kind="image", storage="default") or 0) > 0
    for name in ("capacity_bytes", "used_bytes", "available_bytes"):
        assert (value(found, f"imagewright_storage_{name}", kind="image", storage="default") or 0) > 0
    assert value(found, "imagewright_storage_up", kind="primary", storage="default") == 1
    assert value(found, "imagewright_storage_up", kind="image", storage="away") == 0
    said = {check["check"]: check for check in client.get("/readyz").json()["checks"]}
    assert (said["image storage away"]["ok"], "away" in said["image storage away"]["sentence"]) == (False, True)
    assert said["image storage default"]["ok"]


@pytest.mark.usefixtures("alone")
def test_without_a_prefect_server_it_is_alive_and_not_ready_and_a_scrape_is_quick() -> None:
    client = client_of()
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"alive": True})
    answer = client.get("/readyz")
    said = {check["check"]: check for check in answer.json()["checks"]}
    assert (answer.status_code, answer.json()["ready"], said["catalog"]["ok"], said["prefect"]["ok"]) == (
        503,
        False,
        True,
        False,
    )
    assert "does not answer" in said["prefect"]["sentence"]
    begun = time.monotonic()
    assert value(samples(client), "imagewright_prefect_up") == 0
    assert time.monotonic() - begun < 5


@pytest.mark.usefixtures("alone")
def test_a_catalog_that_does_not_answer_is_told_and_the_scrape_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/x")
    client = client_of()
    assert value(samples(client), "imagewright_catalog_up") == 0
    answer = client.get("/readyz")
    sentences = {check["check"]: check["sentence"] for check in answer.json()["checks"]}
    assert answer.status_code == 503
    assert "is unavailable" in sentences["catalog"]


@pytest.mark.usefixtures("alone")
def test_others_sign_in() -> None:
    here, there = client_of("me:pw"), client_of("me:pw", "192.0.2.1")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert here.get(path).status_code in (200, 503)
        assert here.get(path, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
        assert there.get(path).status_code == 401
        assert there.get(path, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
        assert there.get(path, auth=("me", "pw")).status_code in (200, 503)
    assert here.get("/").status_code == 401
    assert here.get("/metrics", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Flow run encountered an exception: SourceNotFound: there is nothing", "SourceNotFound"),
        ("Flow run encountered an exception: KeyError: 'x'", "other"),
        ("Flow run encountered an exception: ImageNotFound", "ImageNotFound"),
        ("anything: ImageNotFound: forged", "other"),
        (None, "other"),
    ],
)
def test_only_our_own_classes_of_error_become_labels(message: str | None, error: str) -> None:
    assert error_of({"state": {"message": message}}) == error


@pytest.mark.usefixtures("alone")
def test_hosts_by_state_and_when_each_was_last_heard_of() -> None:
    moment = datetime.now(UTC)
    with open_catalog() as catalog, catalog.changing(actor="system") as change:
        for name in ("near", "drained"):
            change.beat(Host(name=name, free_scratch_bytes=7, last_seen=moment, created_at=moment))
        change.set_host_state("drained", "Draining")
    later = moment + timedelta(seconds=200)
    with open_catalog(clock=lambda: later) as catalog:
        seen = {host.name: (host.state, host.silent_s > 190) for host in catalog.figures().hosts}
    assert seen == {"near": ("Silent", True), "drained": ("Draining", True)}
    found = samples(client_of())
    states = ("Connected", "Silent", "Draining")
    assert [value(found, "imagewright_hosts", state=state) for state in states] == [1, 0, 1]
    assert value(found, "imagewright_host_scratch_available_bytes", host="near") == 7
    silent = value(found, "imagewright_host_last_seen_age_seconds", host="near", state="Connected")
    assert silent is not None
    assert 0 <= silent < 60

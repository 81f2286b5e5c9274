"""Two hosts with their own disks, one catalog and one Prefect server: whatever is asked at one is done where its bytes are."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import Image
from catalog.rules.storages.hosts import SILENT_AFTER
from catalog.rules.upkeep.queues import own_queues, queue_name
from catalog.settings import load_settings
from deployments.definitions import POOL
from tasks.hosts.beat import beating
from tests.flows.two_hosts import TwoHosts, two_hosts
from tests.services.nginx import nginx
from tests.services.prefect import COMMAND, UNRECORDED, PrefectServer, prefect_server, worker

pytestmark = [pytest.mark.xdist_group("two-hosts"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def hosts(root: Path) -> Iterator[TwoHosts]:
    with two_hosts(root) as found:
        found.image_storage("a", "near")
        found.primary_storage("a", "fast")
        found.image_storage("b", "own")
        yield found


@pytest.fixture(scope="module")
def server(hosts: TwoHosts, root: Path, request: pytest.FixtureRequest) -> Iterator[PrefectServer]:
    cache = request.config.cache.mkdir("prefect")
    with prefect_server(root, Path(cache), {**hosts.environment("b"), **UNRECORDED}) as running:
        yield running


@pytest.fixture(scope="module")
def workers(server: PrefectServer, hosts: TwoHosts, root: Path) -> Iterator[None]:
    """Run a worker on each host: ours at b serves what anybody may do, Prefect's at a only what is handed to it."""
    for queue in own_queues("a"):  # a worker of Prefect's takes nothing while one of its queues is not there
        server.ask(f"work_pools/{POOL}/queues", {"name": queue})
    with (
        worker(server, root / "wa", queues=own_queues("a"), settings=hosts.environment("a")),
        worker(server, root / "wb", settings=hosts.environment("b"), ours=True),
    ):
        yield


@pytest.fixture
def alive(hosts: TwoHosts) -> Iterator[None]:
    """Have both hosts say that they live, as `imagewright serve` and `imagewright worker` do."""
    with ExitStack() as stack:
        for name in ("a", "b"):
            with hosts.at(name):
                stack.enter_context(beating(load_settings(), 10))
        yield


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    (root / "www").mkdir()
    (root / "www" / "x.raw").write_bytes(os.urandom(1 << 20))
    with nginx(root / "nginx", root / "www") as site:
        yield f"{site.url}/x.raw"


def command(server: PrefectServer, hosts: TwoHosts, host: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command at a host, with the server that both work for."""
    environment = {**server.environment, **hosts.environment(host)}
    return subprocess.run(
        [COMMAND, *words, "--json"], env=environment, capture_output=True, text=True, check=False, timeout=200
    )


def added_at_a(server: PrefectServer, hosts: TwoHosts, url: str) -> Image:
    """Add an image to the directory of a: asked in the queue that only b serves."""
    request = {"name": "x", "image_format": "raw", "image_path": url, "image_storages": ["near"]}
    run = server.start("add-volume-image", request)
    server.wait_for(run, "COMPLETED", within_s=300)
    with open_catalog(hosts.url) as catalog:
        image = catalog.image(run)
        assert image.status == "Ready", "it is found under the run that was asked for it"
        (replica,) = catalog.replicas(run)
    assert replica.image_storage == "near"
    return image


def test_an_add_at_b_to_a_directory_of_a_is_done_at_a(
    server: PrefectServer, hosts: TwoHosts, workers: None, alive: None, url: str
) -> None:
    image = added_at_a(server, hosts, url)
    assert any((hosts.disk("a") / "near" / "packs").rglob("*"))
    assert not (hosts.disk("b") / "near").exists()

    exported = json.loads(command(server, hosts, "b", "export-image", "--image-id", image.id).stdout)
    path = Path(exported["path"])
    assert path.is_relative_to(hosts.disk("a") / "near" / "exports")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == exported["sha256"] == image.sha256

    refused = command(server, hosts, "b", "export-image", "--image-id", image.id, "--image-format", "iso")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "this image is exported as it is kept" in refused.stderr, "an error comes back as what it was"


@pytest.mark.long
def test_a_volume_of_it_is_made_on_a_primary_storage_of_a(
    server: PrefectServer, hosts: TwoHosts, workers: None, alive: None, url: str
) -> None:
    """As an export is; that each operation is handed on is asked in `tests/flows/hosts/test_every_operation.py`."""
    image = added_at_a(server, hosts, url)
    words = ("create-volume", "--image-id", image.id, "--primary-storage", "fast", "--name", "d")
    assert json.loads(command(server, hosts, "b", *words).stdout)["location"].startswith(str(hosts.disk("a") / "fast"))


def test_upkeep_is_done_by_each_host_for_its_own(
    server: PrefectServer, hosts: TwoHosts, workers: None, alive: None
) -> None:
    asked = command(server, hosts, "b", "reclaim-space")
    assert asked.returncode == 0, asked.stderr
    report = json.loads(asked.stdout)
    (part,) = [item for item in report["items"] if item["subject"] == "host:a"]
    assert part["outcome"] == "pending"
    assert "near" not in report["image_storage"], "b left alone what is a's"
    run = part["reason"].rpartition(" ")[2]
    done = server.wait_for(run, "COMPLETED", within_s=300)
    parameters = done["parameters"]
    assert isinstance(parameters, dict)
    assert parameters["request"]["host"] == "a"
    of_a = server.record(f"deployments/name/reclaim-space/{queue_name('bulk', 'a')}")
    assert (done["deployment_id"], done["work_queue_name"]) == (of_a["id"], queue_name("bulk", "a"))


@pytest.mark.long
def test_a_run_for_a_silent_host_waits_and_says_for_whom(server: PrefectServer, hosts: TwoHosts, workers: None) -> None:
    hosts.beat()
    with open_catalog(hosts.url) as catalog:
        moment = catalog.now()
    late = (moment - 2 * SILENT_AFTER).isoformat()
    _set_last_seen(hosts, "a", late)
    run = server.start("adopt-storage", {"image_storage": "near"})
    state = server.wait_for(run, "SCHEDULED", "COMPLETED", within_s=60)
    while state["state_name"] != "AwaitingRetry":
        time.sleep(0.5)
        state = server.run(run)
    assert "waiting for host 'a': it has been silent since" in str(state["state"])
    refused = command(server, hosts, "b", "adopt-storage", "--image-storage", "near")
    assert refused.returncode == 1
    assert "host 'a' is away: it has been silent since" in refused.stderr
    listed = json.loads(command(server, hosts, "b", "hosts").stdout)
    assert ("a", "Silent") in {(host["name"], host["state"]) for host in listed}
    with hosts.at("a"):
        living = beating(load_settings(), 10)
    with living:
        server.wait_for(run, "COMPLETED", within_s=300)


def _set_last_seen(hosts: TwoHosts, name: str, moment: str) -> None:
    import psycopg

    with psycopg.connect(hosts.url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute("UPDATE hosts SET last_seen = %s WHERE name = %s", (moment, name))

"""Links, downloads and uploads work at whichever host is asked: b's console passes on what a's answers."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ExportedImage
from catalog.settings import load_settings
from console.app import create_app
from deployments.definitions import ROOT
from tasks.hosts.beat import beat
from tasks.images.export import export
from tests.console.api.v1.people import everybody
from tests.console.tus import TUS, creation, piece
from tests.flows.managed import MIB, placed
from tests.flows.two_hosts import TwoHosts, two_hosts
from tests.services.process import free_port, running

OURS = {"X-Imagewright": "1"}
SERVE = """
import sys
import uvicorn
from catalog.settings import load_settings
from console.app import create_app
uvicorn.run(create_app(load_settings()), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """Yield two hosts; the console of a answers at the address that its sign of life tells."""
    folder, port = tmp_path_factory.mktemp("hosts"), free_port()
    with two_hosts(folder) as found:
        found.image_storage("a", "near")
        with found.at("a"), pytest.MonkeyPatch.context() as patch:
            patch.setenv("IMAGEWRIGHT_HOST_ADDRESS", f"http://127.0.0.1:{port}")
            patch.setenv("PYTHONPATH", str(ROOT))
            beat(load_settings())
            serving = running([sys.executable, "-c", SERVE, str(port)], folder, port, dict(os.environ), within_s=120)
        with serving:
            yield found


@pytest.fixture
def at_b(hosts: TwoHosts) -> Iterator[TestClient]:
    with hosts.at("b"), TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
        yield client


def exported_at_a(hosts: TwoHosts, name: str) -> ExportedImage:
    with hosts.at("a"):
        return export.fn(placed(storages=("near",), name=name).id, "admin", None, None)


@contextmanager
def draining(hosts: TwoHosts) -> Iterator[None]:
    """Have a be drained for a block."""
    with open_catalog(hosts.url) as catalog, catalog.changing(actor="x") as change:
        change.set_host_state("a", "Draining")
    try:
        yield
    finally:
        with open_catalog(hosts.url) as catalog, catalog.changing(actor="x") as change:
            change.set_host_state("a", "Connected")


def test_a_link_made_and_followed_at_b_gives_the_file_of_a(hosts: TwoHosts, at_b: TestClient) -> None:
    made = exported_at_a(hosts, "x")
    assert made.path.startswith(str(hosts.disk("a") / "near" / "exports"))
    linked = at_b.post(f"/api/exports/{made.id}/link", headers=OURS)
    assert linked.status_code == 200, linked.text
    url = linked.json()["url"]
    whole = at_b.get(url)
    assert hashlib.sha256(whole.content).hexdigest() == made.sha256
    assert whole.headers["etag"] == f'"{made.sha256}"'
    part = at_b.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert at_b.get(f"{url}.md5").text == f"{made.md5}  x-v1.raw\n"
    assert at_b.head(url).headers["content-length"] == str(made.size_bytes)


def test_an_upload_begun_at_b_for_a_directory_of_a_goes_on_at_either(hosts: TwoHosts, at_b: TestClient) -> None:
    data = os.urandom(MIB)
    begun = at_b.post("/uploads", headers=creation(len(data), image_storages=["near"]))
    assert begun.status_code == 201, begun.text
    place = begun.headers["location"]
    identity = place.rpartition("/")[2]
    sent = at_b.patch(place, headers=piece(0), content=data[: MIB // 2])
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, str(MIB // 2))
    assert (hosts.home("a") / "uploads" / identity / "data").read_bytes() == data[: MIB // 2]
    assert not (hosts.home("b") / "uploads").exists()
    assert at_b.head(place, headers=TUS).headers["upload-offset"] == str(MIB // 2)
    pieces = at_b.get(f"/api/uploads/{identity}/kept").json()["pieces"]
    assert pieces[0]["sha256"] == hashlib.sha256(data[: MIB // 2]).hexdigest()
    assert at_b.delete(place, headers=TUS).status_code == 204
    assert not (hosts.home("a") / "uploads" / identity).exists()


def test_who_asks_is_told_which_host_is_away(hosts: TwoHosts, at_b: TestClient) -> None:
    made = exported_at_a(hosts, "y")
    url = at_b.post(f"/api/exports/{made.id}/link", headers=OURS).json()["url"]
    with draining(hosts):
        answers = (
            at_b.get(url),
            at_b.post(f"/api/exports/{made.id}/link", headers=OURS),
            at_b.post("/uploads", headers=creation(MIB, image_storages=["near"])),
        )
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("host 'a' is away: it is being drained")


def test_programs_send_to_a_directory_of_a_by_either_and_who_does_not_see_it_hears_of_no_host(
    hosts: TwoHosts, at_b: TestClient, cheap_passwords: None
) -> None:
    with hosts.at("b"):
        people = everybody()
    data, user, other = os.urandom(MIB), people["user"], people["other"]
    begun = at_b.post("/api/v1/uploads", headers={**creation(MIB, image_storages=["near"]), **user})
    assert begun.status_code == 201, begun.text
    place = begun.headers["location"]
    sent = at_b.patch(place, headers={**piece(0), **user}, content=data[:-1])
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, str(MIB - 1))
    kept = hosts.home("a") / "uploads" / place.rpartition("/")[2] / "data"
    assert kept.read_bytes() == data[:-1]
    assert at_b.head(place, headers={**TUS, **other}).status_code == 404
    assert at_b.head(place, headers=TUS).status_code == 401
    with draining(hosts):
        away = at_b.patch(place, headers={**piece(0), **user}, content=b"x")
        assert (away.status_code, away.json()["type"]) == (503, "HostAway")
        assert at_b.head(place, headers={**TUS, **other}).status_code == 404
        assert at_b.head(place, headers=TUS).status_code == 401


def test_links_of_before_stay_good_when_a_catalog_gets_more_hosts(tmp_path: Path) -> None:
    from console.transfers.downloads import Downloads

    key = os.urandom(32)
    with two_hosts(tmp_path) as hosts:
        with hosts.at("a"):
            (hosts.home("a") / "console.key").write_bytes(key)
            assert Downloads(load_settings())._key == key
        with hosts.at("b"):
            assert Downloads(load_settings())._key == key

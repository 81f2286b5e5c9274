"""Looks at publishers, over HTTP, in the layouts in which they publish: what is new is found, the rest is refused in a sentence."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import Look
from storage.sources.watched.sigstore import fingerprint, public_key
from tasks.promotion.family import set_family
from tasks.promotion.look import look_at, settle_state
from tasks.promotion.watch import set_watch
from tests.services.nginx import Nginx, nginx
from tests.services.openpgp import Publisher, publisher
from tests.storage.sources.watched.test_sigstore import Signer, bundle, enclosed, envelope, statement
from tests.tasks.promotion.layouts import LAYOUTS, Mirror, simplestreams

UBUNTU = {"kind": "simplestreams", "pattern": "ubuntu-22.04-server-cloudimg-{arch}.img"}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return publisher(tmp_path_factory.mktemp("gpg") / "signer")


@dataclass(frozen=True)
class World:
    """A publisher on loopback, watched."""

    server: Nginx
    mirror: Mirror

    def watch(self, **asked: object) -> None:
        address = f"{self.server.url}/{asked.pop('url')}"
        set_watch.fn({"name": "w", "family": "f", "kind": "listing", "url": address, **asked}, "admin")

    def look(self) -> Look:
        (look,) = look_at.fn(["w"])
        return look

    def settled(self, look: Look) -> Look:
        """Keep what a look found, as its check does after the add."""
        with open_catalog() as catalog:
            settle_state(catalog, look)
        return look

    def requests(self) -> list[str]:
        """Return the status of each request since it was last asked; nginx writes them down after it has answered."""
        log = self.server.folder / "status.log"
        httpx.get(f"{self.server.url}/what-no-mirror-has")
        while not log.exists() or not log.read_text().endswith("404\n"):
            time.sleep(0.01)
        lines = log.read_text().split()[:-1]
        log.write_text("")
        return lines


@pytest.fixture
def world(home: Path, tmp_path: Path) -> Iterator[World]:
    root = tmp_path / "www"
    root.mkdir()
    log = f"access_log {tmp_path}/nginx/status.log status;"
    with nginx(tmp_path / "nginx", root, extra="log_format status '$status';", server=log) as server:
        set_family.fn({"name": "f"}, "admin")
        yield World(server, Mirror(root))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_newest_build_of_a_publisher_is_found_and_proven(world: World, name: str) -> None:
    layout = LAYOUTS[name]
    *before, newest = layout.versions
    for version in before:
        world.mirror.publish(layout, version)
    world.watch(**layout.watch)
    first = world.settled(world.look())
    assert first.refused is None
    assert first.build is not None
    assert (first.seen, first.build.version.removeprefix("v")) == (len(before), before[-1])
    world.requests()
    assert world.look().unchanged
    assert world.requests() == ["304"]
    digest = world.mirror.publish(layout, newest)
    build = world.look().build
    assert build is not None
    assert build.version.removeprefix("v") == newest
    assert build.checksum == f"{layout.algorithm}:{digest}"
    assert build.url.endswith(layout.file.replace("{v}", newest))


def test_a_list_that_a_cosign_key_signed_is_believed(world: World, tmp_path: Path) -> None:
    signer, stranger = Signer(tmp_path / "a", "p256"), Signer(tmp_path / "b", "ed25519")
    layout = LAYOUTS["almalinux"]
    asked = {**layout.watch, "signature_url": "CHECKSUM.sigstore.json", "public_keys": (signer.key,)}
    with pytest.raises(InvalidRequest, match="signature in a file of its own"):
        world.watch(**{**asked, "signature_url": None})
    world.mirror.publish(layout, layout.versions[0])
    world.watch(**asked)
    sums = world.mirror.root / layout.folder / "CHECKSUM"
    beside = sums.with_name("CHECKSUM.sigstore.json")
    beside.write_bytes(bundle(stranger.sign(sums.read_bytes()), sums.read_bytes()))
    assert "another key than those given" in str(world.look().refused)
    said = statement(sums.read_bytes())
    for made in (bundle(signer.sign(sums.read_bytes()), sums.read_bytes()), enclosed(envelope(said, signer))):
        beside.write_bytes(made)
        build = world.look().build
        assert build is not None
        assert build.signed_by == (fingerprint(public_key(signer.key)),)
    beside.write_bytes(enclosed(envelope({**said, "predicateType": "https://cyclonedx.org/bom"}, signer)))
    assert "https://cyclonedx.org/bom" in str(world.look().refused)


@pytest.mark.parametrize("signed", [False, True])
def test_a_simplestreams_index_is_followed(world: World, signer: Publisher, signed: bool) -> None:
    by = signer if signed else None
    simplestreams(world.mirror, {"20240501": b"a", "20240507": b"b"}, by)
    ending = "sjson" if signed else "json"
    world.watch(url=f"streams/v1/index.{ending}", public_keys=(signer.key,) if signed else (), **UBUNTU)
    first = world.settled(world.look())
    assert first.build is not None, first.refused
    assert (first.seen, first.build.version, bool(first.build.signed_by)) == (2, "20240507", signed)
    world.requests()
    assert world.look().unchanged
    assert world.requests() == ["304"]
    simplestreams(world.mirror, {"20240501": b"a", "20240507": b"b", "20240507.1": b"c"}, by)
    build = world.look().build
    assert build is not None
    assert build.version == "20240507.1"
    simplestreams(world.mirror, {"20240501": b"a"}, by)  # a replay of an older one, signed all the same
    assert "older than before: its newest build is 20240501, where it was 20240507" in str(world.look().refused)


def test_a_simplestreams_index_that_nobody_signed_is_refused(world: World, signer: Publisher) -> None:
    simplestreams(world.mirror, {"20240501": b"a"})
    world.watch(url="streams/v1/index.json", public_keys=(signer.key,), **UBUNTU)
    assert "it is not signed" in str(world.look().refused)


def test_a_list_is_believed_only_where_its_signature_is_good(world: World, signer: Publisher) -> None:
    layout = LAYOUTS["almalinux"]
    world.mirror.publish(layout, "9.4-20240507", signer=signer)
    world.watch(**layout.watch, public_keys=(signer.key,))
    build = world.look().build
    assert build is not None
    assert len(build.signed_by) == 1
    list_of = world.mirror.root / layout.folder / "CHECKSUM"
    list_of.write_bytes(list_of.read_bytes().replace(b"9.4", b"9.9"))
    assert "its signature is wrong" in str(world.look().refused)
    plain = world.mirror.root / layout.folder / ".CHECKSUM"
    list_of.write_bytes(plain.read_bytes())
    assert "it is not signed" in str(world.look().refused)
    world.watch(**layout.watch, public_keys=(signer.key,), signature_url="CHECKSUM.asc")
    assert "404" in str(world.look().refused)
    (list_of.parent / "CHECKSUM.asc").write_bytes(signer.signature(plain.read_bytes()))
    assert world.look().build == build.model_copy(update={"list_url": build.list_url})


def test_a_mirror_in_the_middle_of_its_update_brings_nothing_unproven(world: World) -> None:
    layout = LAYOUTS["debian"]
    old, newest = layout.versions[0], layout.versions[1]
    world.mirror.publish(layout, old)
    world.watch(**layout.watch)
    world.settled(world.look())
    (world.mirror.root / "cloud/bookworm" / newest).mkdir()
    world.mirror.list_all()
    look = world.look()  # the folder is there, its file is not: the build before it is still the newest
    assert (look.refused, look.build and look.build.version) == (None, old)
    name = layout.file.replace("{v}", newest)
    world.mirror.put(f"cloud/bookworm/{newest}/{name}", b"build")
    world.mirror.put(f"cloud/bookworm/{newest}/SHA512SUMS", b"# none yet\n")
    world.mirror.list_all()
    assert f"it has no checksum of '{name}' (yet)" in str(world.look().refused)
    world.mirror.publish(layout, newest)
    build = world.look().build
    assert build is not None
    assert build.version == newest


def test_a_page_whose_links_lead_elsewhere_or_that_shrank_is_refused(world: World) -> None:
    layout = LAYOUTS["alpine"]
    for version in ("3.19.1", "3.19.2", "3.19.3", "3.20.0"):
        world.mirror.publish(layout, version)
    world.watch(**layout.watch)
    world.settled(world.look())
    page = world.mirror.root / layout.folder / "index.html"
    whole = page.read_text()
    name = layout.file.replace("{v}", "3.20.1")
    page.write_text(whole + f'<a href="http://127.0.0.1:1/{name}">x</a>')
    assert f"its link {name!r} leads elsewhere, to http://127.0.0.1:1/" in str(world.look().refused)
    lines = [line for line in whole.splitlines() if "3.19" not in line]
    page.write_text("\n".join(lines))
    assert "it lists 1 builds, where it listed 4; set the watch again" in str(world.look().refused)
    page.write_text("\n".join(line for line in whole.splitlines() if "3.20" not in line))
    assert "older than before: its newest build is 3.19.3, where it was 3.20.0" in str(world.look().refused)
    page.write_text("<html></html>")
    assert "lists no build any more" in str(world.look().refused)
    world.watch(**layout.watch)  # a person took it as it is now
    assert f"lists nothing that fits {layout.watch['pattern']!r}" in str(world.look().refused)


def test_one_address_that_changes_is_followed_by_its_validators(world: World) -> None:
    file = world.mirror.put("latest.img", b"one")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    world.watch(url="latest.img", kind="url")
    first = world.settled(world.look())
    assert first.build is not None
    assert first.build.version == "20231114.221320"
    world.requests()
    assert world.look().unchanged
    assert world.requests() == ["304"]
    world.mirror.put("latest.img", b"another")
    os.utime(file, (1_700_086_400, 1_700_086_400))
    build = world.look().build
    assert build is not None
    assert build.version == "20231115.221320"
    os.utime(file, (1_600_000_000, 1_600_000_000))
    assert "older than before" in str(world.look().refused)


def test_a_refusal_is_told_once_and_what_is_refused_holds_up_no_other(world: World) -> None:
    world.mirror.publish(LAYOUTS["alpine"], "3.20.0")
    world.watch(**LAYOUTS["alpine"].watch)
    set_watch.fn({"name": "gone", "family": "f", "kind": "url", "url": f"{world.server.url}/none"}, "admin")
    for _ in range(3):
        gone, found = look_at.fn(["gone", "w"])
    assert "404" in str(gone.refused)
    assert found.build is not None
    with open_catalog() as catalog:
        refused = [event for event in catalog.events() if event.kind == "imagewright.watch.refused"]
    assert [event.subject for event in refused] == ["watch:gone"]


def test_addresses_that_sources_may_not_live_at_are_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.watch(url="x/", pattern="os-{version}.img")
    monkeypatch.setenv("IMAGEWRIGHT_ALLOWED_NETWORKS", "")
    assert "is loopback" in str(world.look().refused)

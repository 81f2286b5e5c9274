"""Every operation asked at host b for what lies on host a: done right, or refused in a sentence that names a.

There is a Prefect server without deployments, so nothing can be handed over; that it is, and comes back, is tried with workers
in `tests/scenarios/test_two_hosts.py`. An operation without a row here fails.
"""

import base64
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from catalog import open_catalog
from catalog.errors import ImagewrightError
from catalog.records import ExportedImage, Image, Record, Volume
from flows.registry import OPERATIONS
from tasks.images.export import export
from tasks.volumes.volume import create_volume
from tests.flows.managed import blank, delete_one, placed, saved
from tests.flows.two_hosts import TwoHosts, two_hosts
from tests.services.postgresql import copied

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]
NOWHERE = "http://127.0.0.1:9/x.raw"
WEBHOOK = {"name": "w", "url": "http://127.0.0.1:9/x", "secret": "env:HOOK_SECRET"}
WATCH = {"name": "w", "kind": "url", "url": NOWHERE}
MANY = {"image_type": "Volume", "name": "x", "image_format": "raw", "image_storages": ("near",), "image_path": NOWHERE}


@dataclass(frozen=True)
class World:
    """What host a has: an image on `near`, another one in the bin, an export and a volume. Host b has `own`."""

    hosts: TwoHosts
    image: Image
    binned: Image
    exported: ExportedImage
    volume: Volume

    def files(self) -> dict[str, list[str]]:
        """Return the files on both hosts' disks."""
        return {n: sorted(str(p) for p in self.hosts.disk(n).rglob("*") if p.is_file()) for n in ("a", "b")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make the world once; each test gets a copy of it, at the same paths."""
    root = tmp_path_factory.mktemp("hosts")
    with two_hosts(root) as hosts:
        hosts.image_storage("a", "near")
        hosts.image_storage("a", "next")
        hosts.primary_storage("a", "fast")
        hosts.image_storage("b", "own")
        with hosts.at("a"):
            image, binned = (placed(storages=("near",), name=name) for name in ("kept", "binned"))
            delete_one(binned)
            exported = export.fn(image.id, "admin", None, None)
            volume = create_volume.fn("0b5f3c7e-1111-4222-8333-444455556666", image.id, "fast", "disk", None, "admin")
        shutil.copytree(root, root.with_name("as-made"), symlinks=True)
        yield World(hosts, image, binned, exported, volume)


@pytest.fixture
def world(made: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    socket = request.config.cache.mkdir("quality")
    monkeypatch.setenv("IMAGEWRIGHT_QUALITY_SOCKET", str(socket / "quality.sock"))
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(bytes(32)).decode())
    shutil.rmtree(made.hosts.root)
    shutil.copytree(made.hosts.root.with_name("as-made"), made.hosts.root, symlinks=True)
    hosts = replace(made.hosts, url=copied(made.hosts.url))
    hosts.beat()
    return replace(made, hosts=hosts)


Asked = Callable[[World], Mapping[str, object]]
Outcome = Literal["here", "names a", "part"]
"""here: done, as no byte of a is needed; names a: refused, with the host; part: done as far as b can, a's part named."""


def of_image(w: World) -> Mapping[str, object]:
    return {"image_id": w.image.id}


def of_images(w: World) -> Mapping[str, object]:
    return {"image_ids": (w.image.id,)}


def of_binned(w: World) -> Mapping[str, object]:
    return {"image_ids": (w.binned.id,)}


def of_webhook(w: World) -> Mapping[str, object]:
    """Have a webhook set at a."""
    with w.hosts.at("a"):
        OPERATIONS["set_webhook"].load()(OPERATIONS["set_webhook"].request.model_validate(WEBHOOK))
    return {"name": WEBHOOK["name"]}


def of_family(w: World) -> Mapping[str, object]:
    """Have a family set at a."""
    with w.hosts.at("a"):
        OPERATIONS["set_family"].load()(OPERATIONS["set_family"].request.model_validate({"name": "debian"}))
    return {"name": "debian"}


def of_watch(w: World) -> Mapping[str, object]:
    """Have a watch set at a."""
    asked = {**WATCH, "family": of_family(w)["name"]}
    with w.hosts.at("a"):
        OPERATIONS["set_watch"].load()(OPERATIONS["set_watch"].request.model_validate(asked))
    return {"name": WATCH["name"]}


def of_promoted(w: World) -> Mapping[str, object]:
    """Have two images promoted: the first can be gone back to."""
    of_family(w)
    with w.hosts.at("a"):
        second = saved(blank(status="Ready"))
    with open_catalog(w.hosts.url) as catalog, catalog.changing(actor="admin") as change:
        for image in (w.image, second):
            change.promote("debian", image, "newer")
    return {"family": "debian"}


ROWS: Mapping[str, tuple[Outcome, Asked]] = {
    "set_account": ("here", lambda _: {"name": "bob", "quota_images": 7}),
    "add_system_image": ("names a", lambda _: {"name": "x", "image_storages": ("near",), "image_path": NOWHERE}),
    "add_volume_image": ("names a", lambda _: {"name": "x", "image_storages": ("near",), "image_path": NOWHERE}),
    "add_images": ("names a", lambda _: {"requests": (MANY,)}),
    "edit_image": ("here", lambda w: {"image_id": w.image.id, "name": "renamed"}),
    "enable_image": ("here", of_images),
    "disable_image": ("here", of_images),
    "export_image": ("names a", of_image),
    "delete_exported_image": ("here", of_image),
    "set_sharing_mode": ("here", lambda w: {"image_id": w.image.id, "mode": "global"}),
    "delete_image": ("here", of_images),
    "recover_image": ("here", of_binned),
    "expunge_image": ("part", of_binned),
    "boot_check": ("names a", of_image),
    "purge_recycle_bin": ("part", lambda _: {"retention_days": 0}),
    "sync_images": ("names a", lambda _: {"source": "near", "target": "own"}),
    "change_image_storage": ("names a", lambda w: {"image_id": w.image.id, "source": "near", "target": "next"}),
    "clean_up_leftovers": ("part", lambda _: {"approve": "yes"}),
    "verify_replicas": ("part", lambda _: {}),
    "register_image_storage": ("names a", lambda _: {"name": "near", "bandwidth_bytes_s": 1 << 20}),
    "set_image_storage_state": ("names a", lambda _: {"name": "near", "state": "Disabled"}),
    "adopt_storage": ("names a", lambda _: {"image_storage": "near"}),
    "register_primary_storage": ("names a", lambda _: {"name": "fast"}),
    "reclaim_space": ("part", lambda _: {}),
    "compact_storage": ("part", lambda _: {"older_than_days": 0}),
    "reconcile_storages": ("part", lambda _: {}),
    "check_quality": ("part", lambda _: {"rescan": True, "plan_only": True}),
    "retry_deferred": ("part", lambda _: {}),
    "recover_runs": ("here", lambda _: {"stale_after_s": 1}),
    "create_volume": ("names a", lambda w: {"image_id": w.image.id, "primary_storage": "fast", "name": "more"}),
    "delete_volume": ("names a", lambda w: {"volume_id": w.volume.id}),
    "clean_image_cache": ("names a", lambda _: {"primary_storage": "fast"}),
    "set_webhook": ("here", lambda _: WEBHOOK),
    "delete_webhook": ("here", of_webhook),
    "deliver_webhooks": ("here", lambda _: {}),
    "set_watch": ("here", lambda w: {**WATCH, "family": of_family(w)["name"]}),
    "delete_watch": ("here", of_watch),
    "inspect_contents": ("names a", of_image),
    "compare_images": ("names a", lambda w: {"a": w.image.id, "b": w.image.id}),
    "find_vulnerabilities": ("names a", lambda w: {"image_id": w.image.id, "osv": "/srv/osv.zip"}),
    "apply_catalogue": ("here", lambda _: {"catalogue": {"families": ({"name": "debian"},)}}),
    "apply_life_cycle": ("here", lambda w: {"families": (of_family(w)["name"],)}),
    "check_watches": ("here", lambda _: {}),
    "set_family": ("here", lambda _: {"name": "debian"}),
    "delete_family": ("here", of_family),
    "promote_image": ("names a", lambda w: {"image_id": w.image.id, "family": of_family(w)["name"]}),
    "roll_back_family": ("here", of_promoted),
    "recall_image": ("part", lambda w: {"image_id": w.image.id, "reason": "a hole"}),
    "drain_host": ("here", lambda _: {"name": "a"}),
    "resume_host": ("here", lambda _: {"name": "a"}),
}


def test_every_operation_has_a_row_and_says_where_its_bytes_are() -> None:
    assert set(ROWS) == set(OPERATIONS)
    assert [row.name for row in OPERATIONS.values() if not row.bytes_at] == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_asked_at_b_for_what_is_at_a(name: str, world: World) -> None:
    outcome, asked = ROWS[name]
    request = OPERATIONS[name].request.model_validate(asked(world))
    before = world.files()
    with world.hosts.at("b"):
        if outcome == "names a":
            with pytest.raises(ImagewrightError) as refused:
                OPERATIONS[name].load()(request)
            assert "'a'" in str(refused.value) or " is on a" in str(refused.value), refused.value
        else:
            told = _told(OPERATIONS[name].load()(request))
            assert ("host 'a'" in told or "host:a" in told) == (outcome == "part"), told
    after = world.files()
    assert after["a"] == before["a"], "only host a touches its own disk"
    assert [p for p in after["b"] if "/own/" not in p] == [p for p in before["b"] if "/own/" not in p]


def _told(result: object) -> str:
    records = result if isinstance(result, tuple) else (result,)
    assert all(isinstance(record, Record) for record in records)
    return " ".join(str(record) for record in records if not isinstance(record, Image))


@pytest.mark.parametrize("name", ["export_image", "create_volume", "verify_replicas", "register_image_storage"])
def test_a_host_that_takes_no_runs_is_named_with_why(name: str, world: World) -> None:
    with open_catalog(world.hosts.url) as catalog, catalog.changing(actor="x") as change:
        change.set_host_state("a", "Draining")
    _, asked = ROWS[name]
    with world.hosts.at("b"):
        try:
            told = _told(OPERATIONS[name].load()(OPERATIONS[name].request.model_validate(asked(world))))
        except ImagewrightError as error:
            told = str(error)
    assert "it is being drained" in told


def test_what_was_deleted_at_b_is_deleted_at_a_by_its_next_retry(world: World) -> None:
    path = Path(world.exported.path)
    with world.hosts.at("b"):
        OPERATIONS["delete_exported_image"].load()(
            OPERATIONS["delete_exported_image"].request.model_validate({"image_id": world.image.id})
        )
        with open_catalog() as catalog:
            (waiting,) = catalog.pending()
            assert list(catalog.exports()) == []
        assert path.exists(), "bytes of another host are never counted as deleted unseen"
        assert "on host 'a'" in waiting.reason
    retry = OPERATIONS["retry_deferred"]
    for name, there in (("b", True), ("a", False)):
        with world.hosts.at(name):
            retry.load()(retry.request.model_validate({"force": True}))
        assert path.exists() is there
    with world.hosts.at("a"), open_catalog() as catalog:
        assert list(catalog.pending()) == []

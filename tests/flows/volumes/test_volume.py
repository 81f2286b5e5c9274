"""Volumes from images: one download however many ask, refusals, and what a cleaned cache keeps."""

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from catalog.errors import (
    CapacityExceeded,
    IllegalTransition,
    ImageNotFound,
    InvalidRequest,
    PrimaryStorageNotFound,
    VolumeNotFound,
)
from catalog.records import CachedImage, Image, ImageStatus, ItemOutcome, PrimaryStorage, Volume
from catalog.rules.storages.cache import cache_to_drop
from storage.protocols import CachedFile
from tasks.images.delete import delete
from tasks.images.enable import set_state
from tasks.images.expunge import expunge
from tasks.storages.register_primary_storage import register_primary
from tasks.volumes.cache import bring, drop, drops
from tasks.volumes.volume import create_volume, delete_volume, plan_volume
from tests.flows.managed import MIB, placed, stored_image
from tests.services.ceph import ceph_cluster
from tests.services.process import find

pytestmark = pytest.mark.usefixtures("home")


def create(image: Image, name: str = "disk", account: str = "admin", **fields: object) -> Volume:
    find("qemu-img", "qemu-utils")
    asked: dict[str, object] = {"primary_storage": "default", "size_bytes": None, **fields}
    volume_id = str(asked.pop("volume_id", uuid.uuid4()))
    return create_volume.fn(volume_id, image.id, asked["primary_storage"], name, asked["size_bytes"], account)  # type: ignore[arg-type]


def clean(budget_bytes: int | None = None) -> tuple[ItemOutcome, ...]:
    return drop.fn("default", drops.fn("default", budget_bytes), "admin")


def content(volume: Volume, folder: Path) -> bytes:
    raw = folder / f"{volume.id}.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", volume.location, raw], check=True)
    return raw.read_bytes()


def cached_files(home: Path) -> list[str]:
    return sorted(file.name for file in (home / "primary" / "cache").iterdir())


def test_a_volume_reads_as_its_image_and_is_its_owners(home: Path, tmp_path: Path) -> None:
    data = os.urandom(MIB)
    image = placed(data, owner="bob", sharing_mode="global")
    volume = create(image, account="eve", size_bytes=4 * MIB)
    assert content(volume, tmp_path) == data + bytes(3 * MIB)
    assert (volume.owner, volume.size_bytes, volume.image_id) == ("eve", 4 * MIB, image.id)
    with pytest.raises(VolumeNotFound):
        delete_volume.fn(volume.id, "bob")
    assert delete_volume.fn(volume.id, "eve") == volume
    assert not Path(volume.location).exists()
    assert cached_files(home) == [f"{image.id}.raw"]


def test_the_same_run_tried_again_makes_no_second_volume() -> None:
    image = placed()
    first = create(image, volume_id="run-1")
    assert create(image, volume_id="run-1") == first
    with open_catalog() as catalog:
        assert list(catalog.volumes()) == [first]


CREATE = """
import os
import sys
from tasks.volumes.volume import create_volume

image, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    if not os.fork():
        create_volume.fn(f"v{number}", image, "default", f"disk {number}", None, "admin")
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range(count)]))
"""
"""A process that loads what volumes need, and forks of it that each make one at once."""


def test_requests_at_once_share_one_download(home: Path) -> None:
    find("qemu-img", "qemu-utils")
    image = placed(os.urandom(24 * MIB), virtual_size_bytes=24 * MIB)
    subprocess.run([sys.executable, "-c", CREATE, image.id, "3"], check=True, timeout=120)
    with open_catalog() as catalog:
        assert len(list(catalog.volumes(image_id=image.id))) == 3
        kinds = [event.kind for event in catalog.events(image.id)]
        assert list(catalog.reservations()) == []
    assert kinds.count("imagewright.image.cached") == 1
    assert cached_files(home) == [f"{image.id}.raw"]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            {"state": "Disabled"},
            IllegalTransition,
            "is Disabled: create volume is allowed only when it is Enabled",
        ),
        ({"status": ImageStatus.DELETED}, IllegalTransition, "is Deleted: create volume is allowed only"),
        ({"status": ImageStatus.ERROR}, IllegalTransition, "is Error"),
        ({"owner": "bob"}, ImageNotFound, "not visible to this account"),
    ],
    ids=["disabled", "in the bin", "in error", "another's"],
)
def test_what_may_not_be_used_makes_no_volume(
    home: Path, change: dict[str, object], error: type[Exception], sentence: str
) -> None:
    image = placed(None, ("default",), **change)
    with pytest.raises(error, match=sentence):
        create(image, account="eve" if "owner" in change else "admin")
    assert not (home / "primary").exists()


def test_a_volume_is_never_smaller_than_its_image() -> None:
    image = placed()
    with pytest.raises(InvalidRequest, match=f"size_bytes: 512 is not allowed; at least {MIB}"):
        create(image, size_bytes=512)
    with pytest.raises(PrimaryStorageNotFound):
        create(image, primary_storage="absent")


@pytest.mark.parametrize("media", ["DataTemplate", "ISO"])
def test_an_image_that_is_deleted_while_it_is_downloaded_makes_no_volume(
    media: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = "iso" if media == "ISO" else "raw"
    image = placed(media=media, format=stored, format_stored=stored)

    def overtaken(*given: Any) -> CachedFile:
        brought = bring(*given)
        delete.fn([image.id], "admin")
        return brought

    monkeypatch.setattr("tasks.volumes.volume.bring", overtaken)
    with pytest.raises(IllegalTransition, match="is Deleted: create volume"):
        create(image)
    with open_catalog() as catalog:
        assert list(catalog.volumes()) == []
    assert list((home / "primary" / "volumes").iterdir()) == []


def test_a_volume_of_an_iso_is_the_cached_iso_itself(home: Path) -> None:
    image = placed(format="iso", format_stored="iso", media="ISO", image_type="System")
    volume = create(image)
    assert volume.location == volume.backing
    delete_volume.fn(volume.id, "admin")
    assert Path(volume.location).exists()


def test_a_disabled_or_expunged_image_leaves_its_volumes_alone(tmp_path: Path) -> None:
    data = os.urandom(MIB)
    image = placed(data)
    volume = create(image)
    set_state.fn([image.id], "admin", "Disabled")
    delete.fn([image.id], "admin")
    expunge.fn([image.id], "admin")
    assert content(volume, tmp_path) == data
    assert clean(0) == ()
    assert content(volume, tmp_path) == data
    delete_volume.fn(volume.id, "admin")
    (item,) = clean()
    assert (item.outcome, item.bytes) == ("done", MIB)
    assert not Path(volume.backing).exists()


def test_a_damaged_cache_is_brought_again_and_condemns_nobody(home: Path, tmp_path: Path) -> None:
    data = os.urandom(MIB)
    image = placed(data)
    volume = create(image)
    delete_volume.fn(volume.id, "admin")
    cached = Path(volume.backing)
    cached.chmod(0o644)
    os.truncate(cached, 17)
    assert content(create(image), tmp_path) == data
    assert stored_image(image.id) == image


def test_a_cache_past_its_budget_drops_the_least_recently_used() -> None:
    images = [placed() for _ in range(3)]
    for image in images:
        delete_volume.fn(create(image).id, "admin")
    delete_volume.fn(create(images[0]).id, "admin")
    dropped = clean(MIB)
    assert [item.subject for item in dropped] == [f"cached_image:{image.id}@default" for image in images[1:]]
    assert clean(MIB) == ()


def test_files_that_nobody_knows_are_dropped_from_a_cache(home: Path) -> None:
    delete_volume.fn(create(placed()).id, "admin")
    (home / "primary" / "cache" / "unknown.raw").write_bytes(b"x")
    (item,) = clean()
    assert (item.subject, item.reason) == (
        "cached_image:unknown@default",
        "the catalog does not know this copy",
    )
    assert not (home / "primary" / "cache" / "unknown.raw").exists()


def test_a_primary_storage_without_room_takes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = placed()
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.reserve_room(
            subject="cache:other@default#", place="primary storage default", size_bytes=1 << 50,
            available_bytes=1 << 51,
        )  # fmt: skip
    ticks = Path("/proc/1/stat").read_text().rsplit(")", 1)[1].split()[19]
    # a process that lives
    holder = f"other@{os.uname().nodename}:1:{ticks}"
    with (
        open_catalog() as catalog,
        catalog.locked("cache:other@default", holder=holder),
        pytest.raises(CapacityExceeded, match="primary storage default"),
    ):
        create(image)
    assert create(image).image_id == image.id  # what the dead were promised counts no more


def test_a_plan_of_a_volume_downloads_nothing(home: Path) -> None:
    image = placed()
    plan = plan_volume.fn(image.id, "default", "disk", None, "admin")
    assert [action.verb for action in plan.actions] == ["download", "make overlay"]
    assert plan.bytes_to_move == MIB
    create(image)
    again = plan_volume.fn(image.id, "default", "disk", None, "admin")
    assert ([action.verb for action in again.actions], again.bytes_already_there) == (["make overlay"], MIB)


def test_a_primary_storage_is_registered_once_and_has_a_place_of_its_own(home: Path, tmp_path: Path) -> None:
    fields = {"name": "fast", "kind": "local", "url": (tmp_path / "fast").as_uri(), "credentials": None}
    first = register_primary.fn(fields, "admin")
    assert isinstance(first, PrimaryStorage)
    assert register_primary.fn(fields, "admin") == first
    with pytest.raises(InvalidRequest, match="a name of its own"):
        register_primary.fn({**fields, "url": (tmp_path / "other").as_uri()}, "admin")
    taken = {**fields, "name": "images", "url": (home / "imagestore").as_uri()}
    with pytest.raises(InvalidRequest, match="image storage 'default' is there"):
        register_primary.fn(taken, "admin")
    with pytest.raises(InvalidRequest, match="a local primary storage needs"):
        register_primary.fn({**fields, "name": "x", "url": "rbd://pool"}, "admin")


@pytest.mark.xdist_group("ceph")
def test_a_ceph_volume_pins_its_replica_until_it_is_deleted(home: Path) -> None:
    from tasks.upkeep.retry_deferred import due_work, retry

    with ceph_cluster(pools=("images", "volumes")) as cluster:
        url = cluster.url("images")
        with open_catalog() as catalog, catalog.changing(actor="admin") as change:
            storage = change.image_storage("default").model_copy(update={"name": "ceph", "kind": "ceph", "url": url})
            change.save_image_storage(storage)
        register_primary.fn({"name": "fast", "kind": "ceph", "url": cluster.url("volumes")}, "admin")
        image = placed(storages=("ceph",))
        volume = create(image, primary_storage="fast")
        assert volume.backing.startswith("images/")
        delete.fn([image.id], "admin")
        (item,) = expunge.fn([image.id], "admin").done
        assert item.outcome == "pending"
        assert volume.location in item.reason
        delete_volume.fn(volume.id, "admin")
        (done,) = retry.fn(due_work.fn(None, True), "admin")
        assert (done.outcome, cluster.data_objects("images")) == ("done", [])


def _cached(image_id: str, age_h: float) -> CachedImage:
    used = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=age_h)
    return CachedImage(
        image_id=image_id,
        primary_storage="p",
        location="x",
        size_bytes=10,
        last_used_at=used,
        created_at=used,
    )


@pytest.mark.parametrize(
    ("used", "gone", "budget", "dropped"),
    [
        ("", "", None, ""),
        ("", "a", None, "a"),
        ("a", "a", 0, "bcd"),
        ("", "", 20, "dc"),
        ("d", "", 20, "cb"),
        ("", "a", 30, "a"),
        ("abcd", "abcd", 0, ""),
    ],
)
def test_the_rule_of_a_cache(used: str, gone: str, budget: int | None, dropped: str) -> None:
    cached = [_cached("a", 1), _cached("b", 2), _cached("c", 3), _cached("d", 4)]
    got = [one.cached.image_id for one in cache_to_drop(cached, used, gone, budget)]
    assert sorted(got) == sorted(dropped)

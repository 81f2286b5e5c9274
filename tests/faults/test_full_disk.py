"""A disk that really is full, at any moment: one sentence, nothing published is damaged, nothing is left, it goes on with room."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import CapacityExceeded, CatalogFull, CatalogUnavailable
from catalog.records import Image, ImageStatus
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.imagestore.writing.landing import ChipLanding
from storage.protocols import SourceInfo
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tasks.images.delete import delete
from tasks.images.expunge import expunge
from tasks.runtime.batches import all_done
from tests.flows.managed import blank, saved
from tests.services.payload import payload
from tests.services.small_disk import SmallDisk, small_disk
from tests.storage.stores import Bytes, add, image, image_store

MIB = 1 << 20
PAGE = 4096
BEFORE = random.Random(1).randbytes(200_000)


@payload
def wanted() -> bytes:
    return BEFORE[:100_000] + random.Random(2).randbytes(6 * MIB) + bytes(100_000)


LASTING = ("packs/", "index/", "manifests/", "epochs/", "store.json")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 24 * MIB) as mounted:
        yield mounted


@pytest.fixture
def objects(disk: SmallDisk) -> DirectoryObjects:
    opened = DirectoryObjects(disk.root / "store")
    opened.prepare()
    return opened


@pytest.fixture
def storage(objects: DirectoryObjects) -> ImageStore:
    opened = image_store(objects)
    add(opened, BEFORE, "before")
    return opened


def go_on(storage: ImageStore) -> int:
    """Add as a worker does; return how many bytes were kept from an attempt before."""
    landing, digester = ChipLanding(storage.chips, "l", _looked_like_enough), Digester()
    if landing.begun_with() is None:
        landing.begin(SourceInfo(url="test:", resumable=True))
    try:
        kept = landing.restore(digester.feed)
        transfer(Bytes(wanted()[kept:]), [landing], digester, start=kept)
        landing.finish()
    finally:
        landing.close()
    storage.publish("l", image("wanted"), digester.result())
    return kept


def _looked_like_enough(_written: int) -> None:
    """Refuse nothing beforehand: the room there was is taken by others."""


def room_of_an_add(storage: ImageStore, disk: SmallDisk) -> int:
    """Return the room that a whole add takes, and take it back."""
    before = disk.free_bytes
    go_on(storage)
    taken = before - disk.free_bytes
    storage.delete("wanted")
    storage.reclaim(frozenset())
    return taken


def lacking(taken: int) -> list[int]:
    """Return how much an add may lack: some pages for publishing it, much for storing it, all."""
    return [*(n * PAGE for n in range(1, 12, 2)), *range(taken // 7, taken, taken // 7), taken]


def test_an_add_goes_on_where_the_disk_was_full_once_there_is_room(
    storage: ImageStore, objects: DirectoryObjects, disk: SmallDisk
) -> None:
    taken = room_of_an_add(storage, disk)
    kept = []
    for short in lacking(taken):
        disk.leave(taken - short)
        with pytest.raises(CapacityExceeded, match="has 0 bytes left"):
            go_on(storage)
        assert image_store(objects).open("before").read_at(0, len(BEFORE)) == BEFORE
        assert not list((objects.root / "aside").iterdir())
        disk.relieve()
        kept.append(go_on(storage))
        assert storage.open("wanted").read_at(0, len(wanted())) == wanted()
        storage.delete("wanted")
        storage.reclaim(frozenset())
        assert [i.name for i in objects.list("") if not i.name.startswith(LASTING)] == []
    assert max(kept) > 4 * MIB


def test_an_add_given_up_on_a_full_disk_returns_all_its_room_at_once(storage: ImageStore, disk: SmallDisk) -> None:
    taken = room_of_an_add(storage, disk)
    for short in lacking(taken):
        disk.leave(taken - short)
        with pytest.raises(CapacityExceeded) as failure:  # held: with it, whatever its frames have open
            go_on(storage)
        storage.landing("l").discard()
        assert disk.free_bytes >= taken - short - 4 * PAGE, failure.value
        disk.relieve()
        storage.reclaim(frozenset())
    assert storage.open("before").read_at(0, len(BEFORE)) == BEFORE


def test_a_piece_of_a_log_that_a_full_disk_tore_hides_none_that_comes_later(
    objects: DirectoryObjects, disk: SmallDisk
) -> None:
    objects.append("log", b"first")
    disk.leave(0)
    whole = (PAGE - len(b"first") - 8) // 108  # 8: the head of a piece
    for _ in range(whole):
        objects.append("log", bytes(100))
    with pytest.raises(CapacityExceeded):
        objects.append("log", bytes(100))
    assert (objects.root / "log").stat().st_size == PAGE, "a part of it was written"
    disk.relieve()
    objects.append("log", b"last")
    assert list(objects.pieces("log")) == [b"first", *[bytes(100)] * whole, b"last"]


def test_an_export_to_a_full_disk_leaves_nothing_and_is_made_once_there_is_room(
    tmp_path: Path, disk: SmallDisk
) -> None:
    objects = DirectoryObjects(tmp_path / "store")
    objects.prepare()
    storage = image_store(objects)
    add(storage, wanted(), "wanted")
    target = disk.root / "exports" / "out.raw"
    for free in (0, PAGE, MIB, len(wanted()) - 4 * MIB, len(wanted()) - 100_000 - PAGE):
        disk.leave(free)
        with pytest.raises(CapacityExceeded, match="exports"):
            storage.export("wanted", target, lambda _done, _all: None)
        assert not [path for path in disk.root.rglob("*") if path.name not in ("ballast", "exports")]
        disk.relieve()
    storage.export("wanted", target, lambda _done, _all: None)
    assert target.read_bytes() == wanted()


def test_a_catalog_on_a_full_disk_says_so_and_keeps_what_it_had(
    disk: SmallDisk, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", f"sqlite:///{disk.root / 'catalog.db'}")
    known = saved(blank())
    with open_catalog() as catalog:
        disk.leave(0)
        with pytest.raises(CatalogUnavailable, match="disk is full"):
            _describe(known.id, "x" * 2048)
        assert catalog.image(known.id) == known
        disk.relieve()
        _describe(known.id, "with room")
        assert catalog.image(known.id).description == "with room"


def _describe(image_id: str, text: str) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(image_id).model_copy(update={"description": text}))


@pytest.fixture
def full_catalog(disk: SmallDisk, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Image, ...]]:
    """Put a catalog with a reserve on the disk; return what fills it, and names its images: half of them binned."""
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", f"sqlite:///{disk.root / 'catalog.db'}")
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_RESERVE_BYTES", str(4 * MIB))
    ready = {"status": ImageStatus.READY, "image_storages": ("default",)}
    images = tuple(saved(blank(**ready)) for _ in range(20))

    def fill() -> tuple[Image, ...]:
        for _ in range(4):  # what is given back when a catalog is closed is taken as well
            disk.leave(0)
        assert disk.free_bytes == 0
        return images

    return fill


def test_on_a_full_disk_nothing_is_added_and_the_disk_is_named(
    disk: SmallDisk, full_catalog: Callable[[], tuple[Image, ...]]
) -> None:
    known, *_ = full_catalog()
    with pytest.raises(CatalogFull, match=rf"disk is full: \d+ bytes are free in {disk.root}; expunge") as failure:
        _describe(known.id, "x" * 2048)
    assert (failure.value.folder, failure.value.retryable) == (str(disk.root), False)


def test_on_a_full_disk_a_catalog_is_listed_all_the_same(
    full_catalog: Callable[[], tuple[Image, ...]],
) -> None:
    images = full_catalog()
    with open_catalog() as catalog:
        assert {image.id for image in catalog.images()} == {image.id for image in images}


def test_images_are_deleted_and_expunged_on_a_full_disk_with_their_entries_in_the_log(
    disk: SmallDisk, full_catalog: Callable[[], tuple[Image, ...]]
) -> None:
    ids = [image.id for image in full_catalog()]
    delete.fn(ids, "admin")
    all_done("expunge", expunge.fn(ids, "admin"))
    with open_catalog() as catalog:
        assert list(catalog.images()) == []
        assert catalog.verify_events() > 2 * len(ids)
        assert catalog.verify_tables() >= 2
    disk.relieve()
    saved(blank())
    assert (disk.root / "catalog.db-reserve").stat().st_size == 4 * MIB, "it is there for the next time"

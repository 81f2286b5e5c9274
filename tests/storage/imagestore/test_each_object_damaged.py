"""Each kind of object of a store, damaged in each way: what the README's table says is lost is lost, and nothing else."""

import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from catalog.errors import DigestMismatch, ImageNotFound, ObjectMissing, StorageRefused, StorageUnavailable
from storage.imagestore.format import compacted
from storage.imagestore.objects.cached import CachedObjects
from storage.imagestore.objects.wrapped import WrappedObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore, SourceInfo
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.faults.faulty_objects import FaultyObjects
from tests.storage.imagestore.damages import DAMAGES, Row, damage, matching, table
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import Bytes, add, image, image_store, land, opener, record

IMAGES = {
    "first": random.Random(1).randbytes(150_000) + b"text " * 20_000,
    "second": random.Random(2).randbytes(90_000) + bytes(64 << 10) + b"words " * 9_000,
}
HALF = random.Random(3).randbytes(300_000)
WHOLE = random.Random(4).randbytes(60_000)
GARBAGE = random.Random(5).randbytes(150_000)
NEW = IMAGES["first"][:120_000] + random.Random(6).randbytes(50_000)
INFO = SourceInfo(url="test:", resumable=True)
OBJECTS = {
    "`store.json`": r"store\.json",
    "`store.json.sealed`": r"store\.json\.sealed",
    "`packs/…` payload": r"packs/.*",
    "`packs/…` trailer": r"packs/.*",
    "`packs/…`": r"packs/.*",
    "`index/<n>`": r"index/\d{12}",
    "`index/<n>-<epoch>-<part>`": r"index/\d{12}-.*",
    "`manifests/<image id>`": r"manifests/.*",
    "`landings/<id>/journal`": r"landings/[^/]*/journal",
    "`landings/<id>/….part`": r"landings/.*\.part",
    "`landings/<id>/finished`": r"landings/.*/finished",
    "`epochs/<n>` done": r"epochs/.*",
    "`epochs/<n>` under way": r"epochs/.*",
    "`verdicts/<n>`": r"verdicts/.*",
    "`damaged/<digest>`": r"damaged/.*",
    "`compacted`": r"compacted",
    "`aside/…`, `sweeps/…`": r"sweeps/.*",
    "a piece of the local cache": "",
}
WHERE = {"`packs/…` payload": 0.4, "`packs/…` trailer": 0.999}
STATES = ("at rest", "in the middle of a reclaim")
SAMPLE = ("`packs/…` payload", "`index/<n>`", "`manifests/<image id>`")
"""What is flipped in S3 every day; all else takes too long there, and its code is that of the other kinds."""
ROWS = list(table())
Made = Callable[[str, Path, str | None], Callable[[], ObjectStore]]


def test_the_table_and_this_test_know_the_same_objects() -> None:
    assert {row.object for row in ROWS} == OBJECTS.keys()


def used(objects: ObjectStore) -> None:
    """Make a store that was used: images, garbage that was freed, landings, a chip under suspicion."""
    storage = image_store(objects)
    add(storage, IMAGES["first"], "first")
    add(storage, GARBAGE, "garbage")
    storage.delete("garbage")
    storage.reclaim()
    add(storage, IMAGES["second"], "second")
    half = storage.landing("half")
    half.begin(INFO)
    half.restore(lambda _: None)
    for start in range(0, 180_000, 60_000):  # two packs' worth, so that a part stays
        half.write(memoryview(HALF[start : start + 60_000]))
    half.close()
    land(storage, "whole", WHOLE)
    objects.put(f"damaged/{storage.pieces('second').digests[0].tobytes().hex()}", b"")
    compacted.write(objects, {"first": None})


def interrupt_reclaim(objects: ObjectStore, at: str) -> None:
    """Have a reclaim die before the first change that begins so."""

    def fault(step: str) -> None:
        if step.startswith(at):
            raise StorageUnavailable("faulty", step)

    add(image_store(objects), GARBAGE, "garbage")
    image_store(objects).delete("garbage")
    faulty = FaultyObjects(objects)
    faulty.log = fault
    with pytest.raises(StorageUnavailable):
        image_store(faulty).reclaim()


def _copied(objects: MemoryObjects) -> MemoryObjects:
    copied = MemoryObjects(objects.location)
    copied._objects = dict(objects._objects)
    copied._logs = {name: list(pieces) for name, pieces in objects._logs.items()}
    return copied


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a function that makes a store that was used, in memory or a directory; each state is made once and copied."""

    @cache
    def once(kind: str, at: str | None) -> tuple[ObjectStore, Path]:
        place = tmp_path_factory.mktemp("used")
        objects = opener(kind, place)()
        used(objects)
        if at:
            interrupt_reclaim(objects, at)
        return objects, place

    def make(kind: str, place: Path, at: str | None) -> Callable[[], ObjectStore]:
        if kind == "s3":
            reopen = opener(kind, place)
            used(reopen())
            if at:
                interrupt_reclaim(reopen(), at)
            return reopen
        objects, whole = once(kind, at)
        if isinstance(objects, MemoryObjects):
            memory = _copied(objects)
            return lambda: memory
        shutil.copytree(whole, place, dirs_exist_ok=True)
        return opener(kind, place)

    return make


def go_on(storage: ImageStore, landing_id: str, data: bytes) -> None:
    """Go on with a landing as a worker does, and publish it."""
    landing, digester = storage.landing(landing_id), Digester()
    if landing.begun_with() is None:
        landing.begin(INFO)
    kept = landing.restore(digester.feed)
    transfer(Bytes(data[kept:]), [landing], digester, start=kept)
    landing.finish()
    landing.close()
    storage.publish(landing_id, image(landing_id), digester.result())


def read(storage: ImageStore, image_id: str) -> bytes | None:
    """Return an image's bytes, None where they are known to be damaged."""
    try:
        reader = storage.open(image_id)
        return reader.read_at(0, reader.size_bytes)
    except (DigestMismatch, ObjectMissing, ImageNotFound):
        return None


def works_but_for(reopen: Callable[[], ObjectStore], lost: str) -> None:
    """Do everything that is done with a store; where images may be lost, at most one is, and nobody gets other bytes."""
    storage = image_store(reopen())
    added = add(storage, NEW, "new")
    assert read(storage, "new") in ((NEW,) if lost != "its image" else (NEW, None))
    assert added.size_bytes == len(NEW)
    found = {i: read(storage, i) for i in IMAGES}
    unread = [i for i, data in found.items() if data != IMAGES[i]]
    assert all(found[i] is None for i in unread)
    assert len(unread) <= (lost == "its image"), unread
    assert len([i for i, one in storage.described_images() if not isinstance(one, Exception)]) >= 2
    go_on(image_store(reopen()), "half", HALF)
    go_on(image_store(reopen()), "whole", WHOLE)
    for image_id, data in (("half", HALF), ("whole", WHOLE)):
        assert read(image_store(reopen()), image_id) == data


def repaired(reopen: Callable[[], ObjectStore], lost: str) -> None:
    """Repair and reclaim: then all is whole again, once what was lost was added again."""
    storage = image_store(reopen())
    storage.repair()
    assert [one.subject for one in storage.ailments() if one.subject != "packs"] == []
    for image_id, data in IMAGES.items():
        if storage.contains(image_id):
            try:
                storage.verify(image_id)
            except DigestMismatch:
                storage.delete(image_id)
        if read(storage, image_id) != data:
            assert lost == "its image"
            storage.delete(image_id)
            add(storage, data, image_id)
    failed = [item for item in storage.reclaim(frozenset()).items if item.outcome == "failed"]
    assert all(item.subject.startswith("chip ") for item in failed), failed
    fresh = image_store(reopen())
    assert [read(fresh, i) == data for i, data in IMAGES.items()] == [True, True]
    assert all(fresh.verify(i)[0].items == () for i in (*IMAGES, "half", "whole"))
    assert list(fresh.ailments()) == []
    assert not matching(fresh.objects, r"(landings|verdicts|sweeps)/.*")


def possible(row: Row, state: str, kind: str) -> bool:
    """Tell whether a store of this kind has such an object in this state."""
    if kind == "s3" and (row.object == "`landings/<id>/….part`" or "sweeps" in row.object):
        return False  # kept in memory until it is a pack
    only_reclaiming = any(word in row.object for word in ("verdicts", "under way", "sweeps"))
    return state in STATES[only_reclaiming:] and not (row.object == "`epochs/<n>` done" and state != STATES[0])


def sampled(row: Row, state: str, kind: str) -> bool:
    """Tell whether a case is tried every day: in memory all, in a directory each object once."""
    if kind == "s3":
        return row.object in SAMPLE and (row.damage, state) == ("flipped", STATES[0])
    return kind == "memory" or state == STATES[0] or not possible(row, STATES[0], kind)


def cases() -> list[object]:
    """Return all, those beside the sample as long tests."""
    return [
        pytest.param(
            kind, row, state, id=f"{kind}-{row.object}-{row.damage}-{state}",
            marks=[] if sampled(row, state, kind) else [pytest.mark.long],
        )
        for kind in ("memory", "directory", "s3")
        for row in ROWS
        for state in STATES
        if OBJECTS[row.object] and possible(row, state, kind)
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "row", "state"), cases())
def test_damage_condemns_only_what_lies_in_it(made: Made, tmp_path: Path, kind: str, row: Row, state: str) -> None:
    at = "publish packs/" if "sweeps" in row.object else "create index/"
    reopen = made(kind, tmp_path, at if state != STATES[0] else None)
    damage(reopen(), matching(reopen(), OBJECTS[row.object])[0], row.damage, WHERE.get(row.object, 0.6))
    works_but_for(reopen, row.lost)
    repaired(reopen, row.lost)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_local_cache_costs_nothing_but_reading_again(made: Made, tmp_path: Path, how: str) -> None:
    inner = made("memory", tmp_path, None)()

    def cached() -> CachedObjects:
        return CachedObjects(inner, tmp_path / "cache", 8 << 20)

    assert read(image_store(cached()), "first") == IMAGES["first"]
    before = list(inner.list("index/"))
    for piece in (tmp_path / "cache").glob("*.piece"):
        after = DAMAGES[how](piece.read_bytes())
        piece.unlink() if after is None else piece.write_bytes(after)
    assert read(image_store(cached()), "first") == IMAGES["first"]
    assert list(inner.list("index/")) == before


def test_a_segment_that_arrived_damaged_and_was_cached_so_is_not_condemned(made: Made, tmp_path: Path) -> None:
    inner = made("memory", tmp_path, None)()
    before = list(inner.list("index/"))
    name = before[-1].name
    whole = inner.get(name)
    damage(inner, name, "flipped")
    CachedObjects(inner, tmp_path / "cache", 8 << 20).get(name)
    inner.put(name, whole)
    storage = image_store(CachedObjects(inner, tmp_path / "cache", 8 << 20))
    assert read(storage, "second") == IMAGES["second"]
    assert list(inner.list("index/")) == before


def test_an_index_that_can_only_be_read_is_rebuilt_in_memory(made: Made, tmp_path: Path) -> None:
    class ReadOnly(WrappedObjects):
        def create(self, name: str, data: bytes) -> bool:
            raise StorageRefused("images", "Read-only file system")

        def put(self, name: str, data: bytes) -> None:
            raise StorageRefused("images", "Read-only file system")

        def delete(self, name: str) -> None:
            raise StorageRefused("images", "Read-only file system")

    inner = made("memory", tmp_path, None)()
    for name in ("store.json", *matching(inner, "index/.*")):
        damage(inner, name, "cut")
    storage = image_store(ReadOnly(inner))
    assert [read(storage, i) for i in IMAGES] == list(IMAGES.values())
    assert [read(image_store(inner), i) for i in IMAGES] == list(IMAGES.values())


def test_a_store_without_a_copy_of_its_parameters_is_read_and_added_to_all_the_same(made: Made, tmp_path: Path) -> None:
    objects = made("memory", tmp_path, None)()
    objects.delete("store.json.sealed")
    damage(objects, "store.json", "cut")
    storage = ImageStore(record(), objects)
    add(storage, NEW, "new")
    assert [read(storage, i) for i in (*IMAGES, "new")] == [*IMAGES.values(), NEW]


@pytest.mark.parametrize("data", [b"", b'{"a": 1}', b"not ours"])
def test_a_folder_of_another_program_is_refused(tmp_path: Path, data: bytes) -> None:
    objects = opener("memory", tmp_path)()
    objects.put("store.json", data)
    with pytest.raises(StorageRefused, match="does not describe a chip store"):
        ImageStore(record(), objects)
    assert objects.get("store.json") == data

"""A move that dies or fails at any step: the image is whole somewhere, the catalog says where, running again ends right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import (
    CapacityExceeded,
    DigestMismatch,
    ImagewrightError,
    StorageRefused,
    StorageUnavailable,
)
from catalog.records import Image, ImageStatus, Replica
from flows.requests import ChangeImageStorage
from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectStore, ObjectWriter
from storage.replicas.copy import copy_replica
from tests.faults.faulty_objects import FaultyObjects
from tests.flows.moving import World, image_of, in_one_run, noise, read_all
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image_store

DATA = noise(40_000) + bytes(20_000) + noise(5_000, 1)


class Died(BaseException):
    """Stands for a SIGKILL: nothing of ours catches it."""


def die(step: str) -> None:
    raise Died(step)


def refuse(step: str) -> None:
    raise StorageRefused("b", f"made to refuse at {step}")


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def move(image_id: str) -> Image:
    from flows.replicas.move import change_image_storage

    moved = change_image_storage.fn(ChangeImageStorage(image_id=image_id, source="a", target="b"))
    assert isinstance(moved, Image)
    return moved


def moved_right(world: World, image: Image) -> None:
    assert world.wholes(image) == {"b"}
    assert world.image(image.id).status is ImageStatus.READY
    with world.catalog() as catalog:
        (leftover,) = catalog.leftovers(image_id=image.id)
        assert catalog.lease(image.id).holder is None
    assert (leftover.image_storage, leftover.moved_to) == ("a", "b")
    assert read_all(world.open_store("a"), image.id) == DATA
    assert [i.landing_id for i in world.open_store("b").landings()] == []


def steps_of_a_move(world: World) -> int:
    image = world.add(world.open_store("a"), DATA)
    world.objects["b"] = counted = FaultyObjects(world.objects["b"])
    move(image.id)
    world.objects["b"] = counted.inner
    return len(counted.steps)


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("fault", "after", "every"),
    [
        pytest.param(die, False, 1, id="dies before each"),
        pytest.param(refuse, False, 3, id="refused before each third"),
        pytest.param(die, True, 3, id="dies after each third"),
        pytest.param(refuse, False, 1, id="refused before each", marks=pytest.mark.long),
        pytest.param(die, True, 1, id="dies after each", marks=pytest.mark.long),
    ],
)
def test_a_move_that_breaks_at_any_step_loses_nothing_and_ends_right_when_run_again(
    world: World, fault: Callable[[str], None], after: bool, every: int
) -> None:
    world.objects["a"] = MemoryObjects()
    world.objects["b"] = target = MemoryObjects()

    def sweep() -> None:
        for step in range(0, steps_of_a_move(world), every):
            image = world.add(world.open_store("a"), DATA)  # the same bytes: most chips are there, most steps are not
            world.objects["b"] = FaultyObjects(target, step, fault, after=after)
            try:
                move(image.id)
            except (Died, StorageRefused):
                assert world.wholes(image), f"lost at step {step}"
                assert world.image(image.id).status in (ImageStatus.READY, ImageStatus.MIGRATING)
            world.objects["b"] = target
            move(image.id)
            moved_right(world, image)

    in_one_run(sweep)


@pytest.mark.prefect
def test_a_full_target_is_said_and_nothing_is_left_on_it(world: World) -> None:
    image = world.add(world.open_store("a"), noise(400_000))
    world.store("b", capacity_bytes=100_000)
    world.open_store("b")
    before = {info.name for info in world.objects["b"].list("")}

    def full() -> None:
        with pytest.raises(CapacityExceeded, match=r"'b' has .* bytes left"):
            move(image.id)

    in_one_run(full)
    assert world.image(image.id).status is ImageStatus.READY
    assert world.wholes(image) == {"a"}
    left = {info.name for info in world.objects["b"].list("")} - before
    assert not {name for name in left if not name.startswith("index/")}  # a note that the landing was discarded


@pytest.mark.prefect
def test_a_target_that_damages_what_it_writes_is_noticed_and_written_again(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    world.objects["b"] = corrupting = Corrupting(world.objects["b"], times=1)
    in_one_run(lambda: move(image.id))
    assert corrupting.times == 0
    world.objects["b"] = corrupting.inner
    moved_right(world, image)


class Corrupting(WrappedObjects):
    """Flips a byte in the first large writes, as bad memory or a bad disk does."""

    def __init__(self, inner: ObjectStore, times: int) -> None:
        super().__init__(inner)
        self.times = times

    def writer(self, aside: str) -> ObjectWriter:
        return _CorruptingWriter(self, self.inner.writer(aside))


class _CorruptingWriter:
    def __init__(self, store: Corrupting, inner: ObjectWriter) -> None:
        self._store, self._inner = store, inner
        self.publish, self.abandon, self.leave = inner.publish, inner.abandon, inner.leave

    def write(self, *parts: bytes | memoryview) -> None:
        data: bytes | memoryview = b"".join(parts)
        if self._store.times and len(data) > 10_000:
            self._store.times -= 1
            damaged = bytearray(data)
            damaged[len(damaged) // 2] ^= 0xFF
            data = bytes(damaged)
        self._inner.write(data)


class Vanishing(WrappedObjects):
    """Answers a number of reads, then never again."""

    def __init__(self, inner: ObjectStore, reads: int) -> None:
        super().__init__(inner)
        self.reads = reads

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            raise StorageUnavailable("a", "no route to host")
        return self.inner.get(name, start, end)


def copied(source: ObjectStore, target: ObjectStore, replica: Replica, tmp_path: Path) -> None:
    target_store = image_store(target, name="b")
    copy_replica(image_store(source, name="a"), target_store, replica, "landing", scratch=tmp_path)


def test_a_source_that_vanishes_leaves_what_was_copied_to_be_gone_on_with(tmp_path: Path) -> None:
    source, target = MemoryObjects(), MemoryObjects()
    data = noise(13 << 20)
    replica = add(image_store(source, name="a"), data)
    complete = None
    for reads in range(1, 40):
        try:
            copied(Vanishing(source, reads), target, replica, tmp_path)
        except StorageUnavailable:
            assert not image_store(target, name="b").contains(replica.image_id)
        else:
            complete = reads
            break
    assert complete
    image = image_of(data, id=replica.image_id)
    store = image_store(target, name="b")
    digests = store.landing("landing").finish()
    assert digests.size_bytes == len(data)
    assert image.sha256 == replica.sha256


def test_a_target_that_damages_everything_never_gets_a_proven_copy(tmp_path: Path) -> None:
    source, target = MemoryObjects(), MemoryObjects()
    replica = add(image_store(source, name="a"), DATA)
    with pytest.raises(DigestMismatch):
        copied(source, Corrupting(target, times=99), replica, tmp_path)
    assert list(image_store(target, name="b").landings()) == []


@pytest.mark.parametrize("change", [{"size_bytes": 65_001}, {"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_stream_that_is_not_what_the_catalog_recorded_is_never_verified(
    tmp_path: Path, change: dict[str, object]
) -> None:
    source, target = MemoryObjects(), MemoryObjects()
    replica = add(image_store(source, name="a"), DATA).model_copy(update=change)
    with pytest.raises(DigestMismatch, match="the replica that was copied"):
        copied(source, target, replica, tmp_path)
    assert list(image_store(target, name="b").landings()) == []


def test_a_damaged_source_is_never_copied(tmp_path: Path) -> None:
    source, target = MemoryObjects(), MemoryObjects()
    replica = add(image_store(source, name="a"), DATA)
    (pack,) = [i.name for i in source.list("packs/")][:1]
    data = bytearray(source.get(pack))
    data[500] ^= 0xFF
    source.put(pack, bytes(data))
    with pytest.raises(ImagewrightError):
        copied(source, target, replica, tmp_path)
    assert not image_store(target, name="b").contains(replica.image_id)

"""A compaction that dies at any step, or that others work beside: every image reads back, and the next run ends it."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from catalog.errors import ImagewrightError, StorageUnavailable
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from tests.faults.faulty_objects import FaultyObjects
from tests.faults.gates import PATIENCE_S, GatedObjects
from tests.storage.imagestore.compacting import PARAMETERS, build, compact, leaning
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image_store, record

T = TypeVar("T")
BUILDS = {f"{number}": build(number, 150_000) for number in (1, 2, 3)}
NEW = build(2, 150_000)[:70_000] + random.Random(9).randbytes(30_000)


class Dying(FaultyObjects):
    """From the faulty step on nothing is done any more, as after a death: no clean-up either."""

    def step(self, what: str, work: Callable[[], T]) -> T:
        if 0 <= self.at < len(self.steps):
            raise StorageUnavailable("dead", what)
        return super().step(what, work)


def filled(objects: ObjectStore) -> ObjectStore:
    storage = image_store(objects, PARAMETERS)
    for image_id, data in BUILDS.items():
        add(storage, data, image_id)
    return objects


def copy_of(objects: MemoryObjects) -> MemoryObjects:
    copy = MemoryObjects()
    for info in objects.list(""):
        copy.put(info.name, objects.get(info.name))
    return copy


def opened(objects: ObjectStore) -> ImageStore:
    return ImageStore(record(), objects, ChipStore(objects))


def prove(objects: ObjectStore, **more: bytes) -> ImageStore:
    storage = opened(objects)
    for image_id, data in (BUILDS | more).items():
        assert storage.open(image_id).read_at(0, len(data)) == data
    return storage


def die_at(objects: ObjectStore, at: int, *, after: bool) -> bool:
    """Compact until the death; tell whether it came."""
    dying = Dying(objects)
    storage = ImageStore(record(), dying, ChipStore(dying))
    dying.steps.clear()
    dying.at, dying.after = at, after
    try:
        compact(storage)
    except ImagewrightError:
        return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_compaction_that_dies_at_any_step_is_ended_by_the_next(after: bool) -> None:
    whole = MemoryObjects()
    filled(whole)
    at, died = int(after), True
    while died:
        objects = copy_of(whole)
        died = die_at(objects, at, after=after)
        prove(objects).reclaim(frozenset())
        storage = prove(objects)
        compact(storage)
        assert leaning(storage, "1") > 0
        storage.reclaim()
        prove(objects)
        left = [info.name for info in objects.list("") if info.name.startswith(("landings/", "sweeps/"))]
        assert left == []
        assert sum(info.size_bytes for info in objects.list("packs/")) < 0.6 * sum(map(len, BUILDS.values()))
        at += 3
    assert at > 20


def test_a_compaction_that_dies_in_a_directory_leaves_parts_that_the_next_takes_away(tmp_path: Path) -> None:
    for at in range(0, 40, 9):
        objects = DirectoryObjects(tmp_path / f"{at}")
        objects.prepare()
        filled(objects)
        die_at(objects, at, after=False)
        compact(prove(objects))
        prove(objects)
        assert list(objects.list("landings/")) == []


def gated(objects: MemoryObjects, at: int) -> tuple[ImageStore, GatedObjects]:
    gate = GatedObjects(objects)
    storage = ImageStore(record(), gate, ChipStore(gate))
    gate.count, gate.at = 0, at
    return storage, gate


def race(
    first: Callable[[ImageStore], object], first_at: int, second: Callable[[ImageStore], object], second_at: int
) -> tuple[MemoryObjects, int, int]:
    """Let the first begin, stop it; let the second begin, stop it; let the first end, then the second."""
    objects = copy_of(START)
    one, one_gate = gated(objects, first_at)
    other, other_gate = gated(objects, second_at)
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(first, one)
        while not one_gate.arrived.wait(0.001) and not begun.done():
            continue
        also = pool.submit(second, other)
        while not other_gate.arrived.wait(0.001) and not also.done():
            continue
        one_gate.go.set()
        failures = [begun.exception(PATIENCE_S)]
        other_gate.go.set()
        failures.append(also.exception(PATIENCE_S))
    for failure in failures:
        assert failure is None or (isinstance(failure, ImagewrightError) and failure.retryable), failure
    return objects, one_gate.count, other_gate.count


def start() -> MemoryObjects:
    """Return a store with builds, and garbage that is like them."""
    objects = MemoryObjects()
    filled(objects)
    storage = prove(objects)
    add(storage, build(4, 150_000), "4")
    compact(storage)
    add(storage, build(5, 150_000) + NEW[-30_000:], "5")
    storage.delete("4")
    storage.delete("5")
    add(storage, build(6, 150_000), "6")
    return objects


START = MemoryObjects()


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an image take several steps: some are published when the death comes."""
    monkeypatch.setattr("storage.imagestore.upkeep.compact.STEP_BYTES", 80_000)


@pytest.fixture(scope="module", autouse=True)
def _started() -> None:
    for info in (made := start()).list(""):
        START.put(info.name, made.get(info.name))


def reclaim(storage: ImageStore) -> None:
    storage.reclaim()


def add_new(storage: ImageStore) -> None:
    add(storage, NEW, "new")


def sampled(first: Callable[[ImageStore], object], second: Callable[[ImageStore], object], count: int) -> None:
    _, firsts, seconds = race(first, -1, second, -1)
    chosen = random.Random(count)
    for _ in range(count):
        objects, _, _ = race(first, chosen.randrange(firsts), second, chosen.randrange(seconds))
        more = {"6": build(6, 150_000)}
        if opened(objects).contains("new"):
            more["new"] = NEW
        storage = prove(objects, **more)
        storage.reclaim()
        compact(storage)
        storage.reclaim()
        prove(objects, **more)


@pytest.mark.parametrize("second", [reclaim, add_new, compact])
def test_a_compaction_beside_others_loses_nothing(second: Callable[[ImageStore], object]) -> None:
    sampled(compact, second, 8)
    sampled(second, compact, 8)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("second", [reclaim, add_new, compact])
def test_many_compactions_beside_others_lose_nothing(second: Callable[[ImageStore], object]) -> None:
    sampled(compact, second, 400)
    sampled(second, compact, 400)

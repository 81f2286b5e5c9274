"""An add and a reclaim interleaved at every pair of steps: no chip that a manifest names is ever missing."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from catalog.errors import ImagewrightError
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.storage import ImageStore
from storage.imagestore.upkeep.reclaim import _apply, survey
from tests.faults.gates import PATIENCE_S, GatedObjects
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import SMALL, add, image_store, record

KEPT, DROPPED = random.Random(1).randbytes(150_000), random.Random(2).randbytes(150_000)
NEW = random.Random(3).randbytes(60_000)
ROUNDS = 100
ADDED = DROPPED[:100_000] + NEW + KEPT[:30_000]


def with_garbage() -> MemoryObjects:
    """Return a store with one image, and the chips of another that was deleted."""
    objects, made = MemoryObjects(), garbage_made()
    for info in made.list(""):
        objects.put(info.name, made.get(info.name))
    return objects


@cache
def garbage_made() -> MemoryObjects:
    objects = MemoryObjects()
    storage = image_store(objects)
    add(storage, KEPT, "kept")
    add(storage, DROPPED, "dropped")
    storage.delete("dropped")
    return objects


def gated(objects: MemoryObjects, at: int) -> tuple[ImageStore, GatedObjects]:
    """Open the store so that operation number `at` from now on waits."""
    gate = GatedObjects(objects)
    storage = ImageStore(record(), gate, ChipStore(gate, SMALL))
    gate.count, gate.at = 0, at
    return storage, gate


def race(adder_at: int, reclaimer_at: int) -> tuple[int, int]:
    """Let the reclaim begin, stop it; let the add begin, stop it; let the reclaim end, then the add.

    Returns how many steps both took.
    """
    objects = with_garbage()
    reclaimer, reclaiming = gated(objects, reclaimer_at)
    adder, adding = gated(objects, adder_at)
    with ThreadPoolExecutor(2) as pool:
        reclaim = pool.submit(reclaimer.reclaim)
        while not reclaiming.arrived.wait(0.001) and not reclaim.done():
            continue
        added = pool.submit(add, adder, ADDED, "added")
        while not adding.arrived.wait(0.001) and not added.done():
            continue
        reclaiming.go.set()
        reclaim.result(PATIENCE_S)
        adding.go.set()
        added.result(PATIENCE_S)
    prove(objects)
    return adding.count, reclaiming.count


def prove(objects: MemoryObjects) -> None:
    storage = image_store(objects)
    assert storage.open("kept").read_at(0, len(KEPT)) == KEPT
    assert storage.open("added").read_at(0, len(ADDED)) == ADDED
    storage.reclaim()
    assert storage.open("kept").read_at(0, len(KEPT)) == KEPT
    assert storage.open("added").read_at(0, len(ADDED)) == ADDED


def pairs(count: int, seed: int) -> list[tuple[int, int]]:
    adder_steps, reclaimer_steps = race(-1, -1)
    rng = random.Random(seed)
    every = [(a, r) for a in range(adder_steps) for r in range(reclaimer_steps)]
    return rng.sample(every, min(count, len(every)))


def test_an_add_racing_a_reclaim_never_loses_a_chip() -> None:
    for adder_at, reclaimer_at in pairs(ROUNDS, seed=4):
        race(adder_at, reclaimer_at)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_adds_racing_reclaims_never_lose_a_chip() -> None:
    for adder_at, reclaimer_at in pairs(1500, seed=5):
        race(adder_at, reclaimer_at)


def reverse_race(adder_at: int, reclaimer_at: int) -> None:
    """Let the add begin, stop it; let the reclaim begin, stop it; let the add end, then the reclaim."""
    objects = with_garbage()
    reclaimer, reclaiming = gated(objects, reclaimer_at)
    adder, adding = gated(objects, adder_at)
    with ThreadPoolExecutor(2) as pool:
        added = pool.submit(add, adder, ADDED, "added")
        while not adding.arrived.wait(0.001) and not added.done():
            continue
        reclaim = pool.submit(reclaimer.reclaim)
        while not reclaiming.arrived.wait(0.001) and not reclaim.done():
            continue
        adding.go.set()
        added.result(PATIENCE_S)
        reclaiming.go.set()
        reclaim.result(PATIENCE_S)
    prove(objects)


def test_a_reclaim_racing_an_add_never_loses_a_chip() -> None:
    for adder_at, reclaimer_at in pairs(ROUNDS, seed=6):
        reverse_race(adder_at, reclaimer_at)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_reclaims_racing_adds_never_lose_a_chip() -> None:
    for adder_at, reclaimer_at in pairs(1500, seed=7):
        reverse_race(adder_at, reclaimer_at)


def reclaims_at_once(first_at: int, second_at: int) -> tuple[int, int]:
    """Stop one reclaim, begin another and stop it, end the first, add, end the second; return their steps."""
    objects = with_garbage()
    slow, first = gated(objects, first_at)
    other, second = gated(objects, second_at)
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(slow.reclaim)
        while not first.arrived.wait(0.001) and not begun.done():
            continue
        also = pool.submit(other.reclaim)
        while not second.arrived.wait(0.001) and not also.done():
            continue
        first.go.set()
        begun.result(PATIENCE_S)
        add(image_store(objects), ADDED, "added")
        second.go.set()
        also.result(PATIENCE_S)
    prove(objects)
    return first.count, second.count


def test_two_reclaims_at_once_never_lose_a_chip() -> None:
    rng = random.Random(8)
    for _ in range(ROUNDS):
        reclaims_at_once(rng.randrange(50), rng.randrange(50))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_reclaims_racing_each_other_never_lose_a_chip() -> None:
    for first_at in range(48):
        for second_at in range(0, 48, 2):
            reclaims_at_once(first_at, second_at)


@pytest.mark.parametrize("others", [1, 2, 3])
def test_a_reclaim_that_looked_before_another_one_began_gives_up(others: int) -> None:
    """What it saw is not so any more: chips that it would leave where they are were moved, and their packs deleted."""
    objects = with_garbage()
    slow = image_store(objects)
    found = survey(slow.chips)
    for number in range(others):
        image_store(objects).reclaim()
        add(image_store(objects), random.Random(10 + number).randbytes(90_000), "more")
        image_store(objects).delete("more")
    before = {info.name: info.size_bytes for info in objects.list("")}
    (item,) = _apply(slow.chips, found)
    assert (item.outcome, item.reason) == ("pending", "another reclaim is at work")
    assert {info.name: info.size_bytes for info in objects.list("")} == before
    add(image_store(objects), ADDED, "added")
    prove(objects)


def test_an_add_that_reclaim_swept_as_abandoned_never_publishes_a_broken_image() -> None:
    """The run was judged dead, its landing discarded, but its process was only slow."""
    steps, _ = race(-1, -1)
    for adder_at in range(steps):
        objects = with_garbage()
        adder, adding = gated(objects, adder_at)
        with ThreadPoolExecutor(1) as pool:
            added = pool.submit(add, adder, ADDED, "added")
            while not adding.arrived.wait(0.001) and not added.done():
                continue
            image_store(objects).reclaim(keep_landings=frozenset())
            adding.go.set()
            failure = added.exception(PATIENCE_S)
        assert failure is None or isinstance(failure, ImagewrightError)
        storage = image_store(objects)
        if storage.contains("added"):
            assert storage.open("added").read_at(0, len(ADDED)) == ADDED
        assert storage.open("kept").read_at(0, len(KEPT)) == KEPT

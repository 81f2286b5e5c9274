"""A SIGKILL at every step of the write path: nothing published is damaged, and what was not is resumed or reclaimed."""

import hashlib
import multiprocessing
import random
import shutil
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from storage.imagestore.chip_store import ChipStore
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import Digests, ObjectStore, SourceInfo
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.faults.faulty_objects import FaultyObjects, kill
from tests.storage.imagestore.damages import DAMAGES, damage
from tests.storage.stores import SMALL, Bytes, add, image, image_store, record

BEFORE = random.Random(1).randbytes(100_000)
GARBAGE = random.Random(2).randbytes(100_000)
WANTED = BEFORE[:50_000] + random.Random(3).randbytes(150_000) + bytes(40_000)
DIGESTS = Digests(
    size_bytes=len(WANTED), md5=hashlib.md5(WANTED).hexdigest(), sha256=hashlib.sha256(WANTED).hexdigest()
)
INFO = SourceInfo(url="test:", resumable=True)


def directory(place: Path) -> DirectoryObjects:
    objects = DirectoryObjects(place)
    objects.prepare()
    return objects


def faulty(place: Path, at: int, after: bool) -> tuple[ImageStore, FaultyObjects]:
    """Open the store so that the process dies at changing operation number `at` from now on."""
    inner: ObjectStore = directory(place)
    objects = FaultyObjects(inner)
    storage = ImageStore(record(), objects, ChipStore(objects, SMALL))
    objects.steps.clear()
    objects.at, objects.after, objects.fault = at, after, kill
    return storage, objects


def add_wanted(storage: ImageStore) -> None:
    """Add as a worker does: go on with what was kept."""
    landing = storage.landing("l")
    if landing.begun_with() is None:
        landing.begin(INFO)
    digester = Digester()
    kept = landing.restore(digester.feed)
    transfer(Bytes(WANTED[kept:]), [landing], digester, start=kept)
    landing.finish()
    landing.close()
    storage.publish("l", image("wanted"), digester.result())


def run_add(place: Path, at: int, after: bool) -> None:
    add_wanted(faulty(place, at, after)[0])


def run_reclaim(place: Path, at: int, after: bool) -> None:
    faulty(place, at, after)[0].reclaim(frozenset())


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def dies(forks: ForkServerContext, work: Callable[[Path, int, bool], None], place: Path, at: int, after: bool) -> bool:
    """Run in a process of its own; tell whether it was killed. Fails if it ended otherwise than well."""
    process = forks.Process(target=work, args=(place, at, after))
    process.start()
    process.join(30)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def prepared(place: Path) -> ImageStore:
    storage = image_store(directory(place))
    add(storage, BEFORE, "before")
    return storage


def packs(storage: ImageStore) -> list[str]:
    return [info.name for info in storage.objects.list("packs/")]


def leftovers(storage: ImageStore) -> list[str]:
    kept = ("packs/", "index/", "manifests/", "epochs/", "store.json")
    return [info.name for info in storage.objects.list("") if not info.name.startswith(kept)]


def steps_of_an_add(place: Path) -> int:
    prepared(place)
    storage, objects = faulty(place, -1, after=False)
    add_wanted(storage)
    return len(objects.steps)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_add_killed_at_any_step_is_completed_by_the_next_worker(
    tmp_path: Path, forks: ForkServerContext, after: bool
) -> None:
    count = steps_of_an_add(tmp_path / "counted")
    for at in range(count):
        place = tmp_path / f"{at}"
        storage = prepared(place)
        dies(forks, run_add, place, at, after)
        assert storage.open("before").read_at(0, len(BEFORE)) == BEFORE
        if not storage.contains("wanted"):
            add_wanted(image_store(directory(place)))
        assert storage.open("wanted").read_at(0, len(WANTED)) == WANTED
        storage.publish("l", image("wanted"), DIGESTS)
        storage.reclaim(frozenset())
        assert leftovers(storage) == []
        assert storage.open("wanted").read_at(0, len(WANTED)) == WANTED


def test_an_add_killed_at_any_step_and_given_up_leaves_nothing(tmp_path: Path, forks: ForkServerContext) -> None:
    count = steps_of_an_add(tmp_path / "counted")
    for at in range(count):
        place = tmp_path / f"{at}"
        storage = prepared(place)
        before = packs(storage)
        dies(forks, run_add, place, at, after=False)
        storage.delete("wanted")
        storage.reclaim(frozenset())
        assert packs(storage) == before
        assert leftovers(storage) == []
        assert storage.open("before").read_at(0, len(BEFORE)) == BEFORE


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_reclaim_killed_at_any_step_is_finished_by_the_next(
    tmp_path: Path, forks: ForkServerContext, after: bool
) -> None:
    at, died = 0, True
    while died:
        place = tmp_path / f"{at}"
        storage = prepared(place)
        add(storage, GARBAGE + BEFORE[:20_000] + GARBAGE[:10], "garbage")
        add(storage, GARBAGE[:30_000], "part")
        storage.delete("garbage")
        died = dies(forks, run_reclaim, place, at, after)
        assert storage.open("before").read_at(0, len(BEFORE)) == BEFORE
        assert storage.open("part").read_at(0, 30_000) == GARBAGE[:30_000]
        add(storage, GARBAGE, "again")
        storage.reclaim()
        storage.reclaim()
        assert storage.open("before").read_at(0, len(BEFORE)) == BEFORE
        assert storage.open("again").read_at(0, len(GARBAGE)) == GARBAGE
        assert leftovers(storage) == []
        at += 1
    assert at > 5


def run_both(place: Path, at: int, _after: bool) -> None:
    storage = image_store(directory(place))
    add(storage, WANTED, f"image-{at}")


def test_two_processes_adding_the_same_image_keep_one_set_of_chips(tmp_path: Path, forks: ForkServerContext) -> None:
    image_store(directory(tmp_path))
    both = [forks.Process(target=run_both, args=(tmp_path, n, False)) for n in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
        assert process.exitcode == 0
    storage = image_store(directory(tmp_path))
    for n in range(2):
        assert storage.open(f"image-{n}").read_at(0, len(WANTED)) == WANTED
    alone = image_store(directory(tmp_path / "alone"))
    add(alone, WANTED, "alone")
    assert len(packs(storage)) == len(packs(alone))


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("work", [run_add, run_reclaim], ids=["add", "reclaim"])
def test_damage_beside_a_death_at_any_step_condemns_only_what_lies_in_it(
    tmp_path: Path, forks: ForkServerContext, work: Callable[[Path, int, bool], None], stride: int
) -> None:
    """Walk the objects that there are at each step, each damaged in one of the ways of storage/imagestore/README.md in turn."""
    at, died = 0, True
    while died:
        place = tmp_path / f"{at}"
        add(prepared(place), GARBAGE, "garbage")
        image_store(directory(place)).delete("garbage")
        died = dies(forks, work, place, at, after=False)
        there = [info.name for info in directory(place).list("") if not info.name.startswith(("packs/", "manifests/"))]
        for number, name in enumerate(there):
            copy = tmp_path / f"{at}-{number}"
            shutil.copytree(place, copy)
            damage(directory(copy), name, list(DAMAGES)[(at + number) % len(DAMAGES)])
            storage = image_store(directory(copy))
            if not storage.contains("wanted"):
                add_wanted(storage)
            storage.reclaim(frozenset())
            fresh = image_store(directory(copy))
            assert fresh.open("before").read_at(0, len(BEFORE)) == BEFORE, (at, name)
            assert fresh.open("wanted").read_at(0, len(WANTED)) == WANTED, (at, name)
            assert leftovers(fresh) == [], (at, name)
            shutil.rmtree(copy)
        at += stride
    assert at > 5

"""A SIGKILL of a compaction at every step, each object written, named and deleted: all reads back, the next run ends it."""

import shutil
import signal
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.imagestore.chip_store import ChipStore
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.reading import manifests
from storage.imagestore.storage import ImageStore
from storage.imagestore.upkeep import taking_apart
from storage.imagestore.upkeep.members import search as member_search
from storage.imagestore.upkeep.members import taking as taking_members
from tests.faults.faulty_objects import FaultyObjects, kill
from tests.storage.imagestore.compacting import PARAMETERS, add_qcow2, build, compact, compressed, disk, leaning
from tests.storage.imagestore.packing import boot_disk
from tests.storage.stores import add, image_store, record

pytestmark = pytest.mark.timeout(1200)
BUILDS = {f"{number}": build(number, 60_000) for number in (1, 2, 3)}
UNPACKED = 140_000  # of a disk with its packed member taken out, at most
OURS = ("packs/", "index/", "manifests/", "epochs/", "store.json", "compacted")


@cache
def packed() -> bytes:
    """Return a compressed disk: it becomes contents and a recipe."""
    with TemporaryDirectory(prefix="packed-") as folder:
        return compressed(disk(1, 300_000), Path(folder))


@cache
def boots() -> bytes:
    """Return a disk with a packed member: that becomes contents, too."""
    return boot_disk(1)


def take_small_files() -> None:
    """Take apart small files as well, whose tables are most of them."""
    taking_apart.WORTH = 0.0
    member_search.LEAST_BYTES = taking_members.WORTH_BYTES = 2048


def directory(place: Path) -> DirectoryObjects:
    objects = DirectoryObjects(place)
    objects.prepare()
    return objects


def opened(place: Path) -> ImageStore:
    objects = directory(place)
    return ImageStore(record(recipes=True), objects, ChipStore(objects))


def run_compaction(place: Path, at: int, after: bool) -> None:
    """Compact, and die at changing operation number `at`."""
    objects = FaultyObjects(directory(place))
    storage = ImageStore(record(recipes=True), objects, ChipStore(objects))
    take_small_files()
    objects.steps.clear()
    objects.at, objects.after, objects.fault = at, after, kill
    compact(storage)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("filled") / "store"
    storage = image_store(directory(place), PARAMETERS)
    for image_id, data in BUILDS.items():
        add(storage, data, image_id)
    add_qcow2(storage, packed(), "packed")
    add_qcow2(storage, boots(), "boots")  # by the name, builds are not like it
    return place


def dies(forks: ForkServerContext, place: Path, at: int, after: bool) -> bool:
    process = forks.Process(target=run_compaction, args=(place, at, after))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def prove(place: Path) -> ImageStore:
    storage = opened(place)
    for image_id, data in (BUILDS | {"packed": packed(), "boots": boots()}).items():
        assert storage.open(image_id).read_at(0, len(data)) == data
        assert storage.verify(image_id)[0].items == ()
    return storage


def goes_on(place: Path) -> None:
    """Compact and reclaim as the next night does, and look at all that is left."""
    take_small_files()
    prove(place)
    compact(opened(place))
    prove(place).reclaim(frozenset())
    storage = prove(place)
    assert leaning(storage, "1") > 0
    assert manifests.read(storage.objects, "packed")[0].recipe is not None
    assert manifests.read(storage.objects, "boots")[0].members is not None
    assert [info.name for info in storage.objects.list("") if not info.name.startswith(OURS)] == []
    packs = sum(info.size_bytes for info in storage.objects.list("packs/"))
    assert packs < 0.8 * sum(map(len, BUILDS.values())) + UNPACKED


@pytest.mark.parametrize(
    ("after", "every"),
    [(False, 5), pytest.param(False, 1, marks=pytest.mark.long), pytest.param(True, 1, marks=pytest.mark.long)],
    ids=["before each fifth", "before each", "after each"],
)
def test_a_compaction_killed_at_any_step_is_ended_by_the_next(
    tmp_path: Path, forks: ForkServerContext, filled: Path, after: bool, every: int
) -> None:
    at, died = 0, True
    while died:
        place = tmp_path / f"{at}"
        shutil.copytree(filled, place)
        died = dies(forks, place, at, after)
        goes_on(place)
        shutil.rmtree(place)
        at += every
    assert at > 20

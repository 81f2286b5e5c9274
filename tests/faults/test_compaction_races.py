"""A compaction that is stopped anywhere while others add, export, sync, verify and reclaim: nothing is lost, nothing is named damaged."""

import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catalog.errors import ImagewrightError
from catalog.records import CompactionReport
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from storage.replicas.sync import ship
from tests.faults.stepped import PATIENCE_S, SteppedObjects
from tests.storage.imagestore.compacting import PARAMETERS, add_qcow2, build, compact, compressed, disk
from tests.storage.imagestore.packing import boot_disk
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image, image_store, record

SIZE = 60_000


def opened(objects: ObjectStore, *, recipes: bool = False) -> ImageStore:
    return ImageStore(record(recipes=recipes), objects, ChipStore(objects))


@cache
def packed(number: int) -> bytes:
    """Return a compressed disk."""
    with tempfile.TemporaryDirectory(prefix="packed-") as folder:
        return compressed(disk(number, 300_000), Path(folder))


@pytest.fixture(autouse=True)
def _worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small files apart as well, whose tables are most of them."""
    monkeypatch.setattr("storage.imagestore.upkeep.taking_apart.WORTH", 0.0)
    monkeypatch.setattr("storage.imagestore.upkeep.members.search.LEAST_BYTES", 2048)
    monkeypatch.setattr("storage.imagestore.upkeep.members.taking.WORTH_BYTES", 2048)


class Races(RuleBasedStateMachine):
    """data: what each image is. At most one compaction is under way; it does so many steps as it is let."""

    @initialize()
    def begin(self) -> None:
        self.objects = MemoryObjects()
        image_store(self.objects, PARAMETERS)
        self.data: dict[str, bytes] = {}
        self.count = 0
        self.pool = ThreadPoolExecutor(1)
        self.stepped: SteppedObjects | None = None
        self.running: Future[CompactionReport] | None = None
        self.far = MemoryObjects()
        image_store(self.far, PARAMETERS)
        self.held = set[str]()
        self.folder = Path(tempfile.mkdtemp(prefix="races-"))
        for number in range(3):
            self.add(number)

    @rule(number=st.integers(0, 5))
    def add(self, number: int) -> None:
        self.count += 1
        image_id = f"{self.count:03d}"
        self.data[image_id] = build(number, SIZE) + build(self.count, 5000, 7)
        add(opened(self.objects), self.data[image_id], image_id)

    @rule(number=st.integers(0, 1))
    def add_compressed(self, number: int) -> None:
        self.count += 1
        image_id = f"{self.count:03d}"
        self.data[image_id] = packed(number)
        add_qcow2(opened(self.objects), self.data[image_id], image_id)

    @rule(number=st.integers(0, 1))
    def add_with_member(self, number: int) -> None:
        self.count += 1
        image_id = f"{self.count:03d}"
        self.data[image_id] = boot_disk(number)
        add(opened(self.objects), self.data[image_id], image_id)

    @contextmanager
    def holding(self, image_id: str) -> Iterator[None]:
        """Hold an image's lock, as a task does."""
        self.held.add(image_id)
        try:
            yield
        finally:
            self.held.discard(image_id)

    @precondition(lambda self: self.running is None)
    @rule(recipes=st.booleans())
    def start(self, recipes: bool) -> None:
        self.stepped = SteppedObjects(self.objects)
        storage = opened(self.stepped, recipes=recipes)
        self.stepped.hold()
        self.running = self.pool.submit(compact, storage, holding=self.holding)

    @precondition(lambda self: self.running is not None)
    @rule(steps=st.sampled_from([1, 3, 10, 30, 100]))
    def go_on(self, steps: int) -> None:
        assert self.stepped is not None
        assert self.running is not None
        self.stepped.go_on(steps, self.running.done)
        if self.running.done():
            self.end()

    @precondition(lambda self: self.running is not None)
    @rule()
    def end(self) -> None:
        assert self.stepped is not None
        assert self.running is not None
        self.stepped.let_go()
        failure = self.running.exception(PATIENCE_S)
        assert failure is None or (isinstance(failure, ImagewrightError) and failure.retryable), failure
        self.running = None

    @precondition(lambda self: len(self.data) - len(self.held) > 1)
    @rule(chosen=st.randoms())
    def delete(self, chosen: random.Random) -> None:
        image_id = chosen.choice(sorted(self.data.keys() - self.held))
        opened(self.objects).delete(image_id)
        del self.data[image_id]

    @rule(chosen=st.randoms())
    def export(self, chosen: random.Random) -> None:
        image_id = chosen.choice(sorted(self.data))
        opened(self.objects).export(image_id, self.folder / "out", lambda _done, _all: None)
        assert (self.folder / "out").read_bytes() == self.data[image_id]

    @rule(chosen=st.randoms())
    def verify(self, chosen: random.Random) -> None:
        report, left = opened(self.objects).verify(chosen.choice(sorted(self.data)))
        assert (report.items, left) == ((), None)

    @rule(chosen=st.randoms())
    def sync(self, chosen: random.Random) -> None:
        image_id = chosen.choice(sorted(self.data))
        (shipped,) = ship(opened(self.objects), opened(self.far), [image(image_id)], "delivery")
        assert shipped.error is None
        assert opened(self.far).open(image_id).read_at(0, 1 << 30) == self.data[image_id]

    @rule()
    def reclaim(self) -> None:
        opened(self.objects).reclaim()

    @rule()
    def compact_beside(self) -> None:
        """As another process that took the first one for dead."""
        compact(opened(self.objects))

    @invariant()
    def all_reads_back(self) -> None:
        if hasattr(self, "objects"):
            storage = opened(self.objects)
            for image_id, data in self.data.items():
                assert storage.open(image_id).read_at(0, len(data)) == data

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            if self.running is not None:
                self.end()
            self.all_reads_back()
            opened(self.objects).reclaim(frozenset())
            self.all_reads_back()
            assert [info.name for info in self.objects.list("landings/")] == []
            self.pool.shutdown()
            for left in self.folder.iterdir():
                left.unlink()
            self.folder.rmdir()


class ManyRaces(Races):
    """The same, longer."""


TestRaces = Races.TestCase
TestRaces.settings = settings(max_examples=6, stateful_step_count=20, deadline=None)
TestManyRaces = pytest.mark.long(pytest.mark.timeout(1800)(ManyRaces.TestCase))
TestManyRaces.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

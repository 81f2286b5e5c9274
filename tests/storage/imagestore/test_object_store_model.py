"""A directory and a cached store do whatever the one in memory does, in any order of operations."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from catalog.errors import ObjectMissing
from storage.imagestore.objects.cached import CachedObjects
from storage.imagestore.objects.directory import DirectoryObjects
from storage.protocols import ObjectStore
from tests.storage.memory_objects import MemoryObjects

names = st.sampled_from(["a", "b/c", "b/d", "landings/1/x", "manifests/i"])
logs = st.sampled_from(["landings/1/journal", "log"])
contents = st.binary(max_size=40)


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        self.model = MemoryObjects()
        directory = DirectoryObjects(place / "store")
        directory.prepare()
        self.stores: list[ObjectStore] = [directory, CachedObjects(directory, place / "cache", 1 << 16)]

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(name=names, data=contents, which=st.integers(0, 1))
    def put(self, name: str, data: bytes, which: int) -> None:
        self.model.put(name, data)
        self.stores[which].put(name, data)

    @rule(name=names, data=contents, which=st.integers(0, 1))
    def create(self, name: str, data: bytes, which: int) -> None:
        assert self.model.create(name, data) == self.stores[which].create(name, data)

    @rule(name=names, data=contents, which=st.integers(0, 1))
    def write_aside(self, name: str, data: bytes, which: int) -> None:
        for store in (self.model, self.stores[which]):
            writer = store.writer("landings/1/part")
            writer.write(data)
            writer.write(data)
            writer.publish(name)

    @rule(name=logs, data=contents)
    def append(self, name: str, data: bytes) -> None:
        self.model.append(name, data)
        self.stores[0].append(name, data)

    @rule(name=st.one_of(names, logs))
    def delete(self, name: str) -> None:
        self.model.delete(name)
        self.stores[0].delete(name)

    @rule(name=names, start=st.integers(0, 50), length=st.integers(0, 50))
    def read_a_range(self, name: str, start: int, length: int) -> None:
        wanted = read(self.model, name, start, start + length)
        assert all(read(store, name, start, start + length) == wanted for store in self.stores)

    @invariant()
    def all_hold_the_same(self) -> None:
        held = {info.name for info in self.model.list("")}
        for store in self.stores:
            assert {info.name for info in store.list("")} == held
            for log in ("landings/1/journal", "log"):
                assert list(store.pieces(log)) == list(self.model.pieces(log))


def read(store: ObjectStore, name: str, start: int, end: int) -> bytes | None:
    try:
        return store.get(name, start, end)
    except ObjectMissing:
        return None


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)

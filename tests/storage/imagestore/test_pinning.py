"""Pieces of the journal are sent beside the writing of chips; what goes wrong there ends the landing, never its image."""

import random
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from catalog.errors import StorageUnavailable
from storage.imagestore.format import epochs
from storage.imagestore.format.epochs import Condemned
from storage.imagestore.format.index import distinct
from storage.imagestore.objects.wrapped import WrappedObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import Landing, ObjectInfo, SourceInfo
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image_store

BLOCK = 256 << 10
PATIENCE_S = 60.0
INFO = SourceInfo(url="test:", size_bytes=4 * BLOCK, resumable=True)


class Pins(WrappedObjects):
    """Calls `before` ahead of each piece that pins chips; counts how often somebody asks for the newest epoch."""

    def __init__(self, inner: MemoryObjects, before: Callable[[int], None] = lambda _number: None) -> None:
        super().__init__(inner)
        self.piece_bytes, self.before, self.pieces_sent, self.epochs_asked = BLOCK, before, 0, 0

    def append(self, name: str, data: bytes) -> None:
        if data[:1] == b"E":
            self.pieces_sent += 1
            self.before(self.pieces_sent)
        self.inner.append(name, data)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.epochs_asked += prefix == epochs.PREFIX
        return self.inner.list(prefix)


def blocks(seed: int = 7, count: int = 4) -> list[memoryview]:
    chosen = random.Random(seed)
    return [memoryview(chosen.randbytes(BLOCK)) for _ in range(count)]


def begun(storage: ImageStore) -> Landing:
    landing = storage.landing("l")
    landing.begin(INFO)
    return landing


def test_chips_go_on_being_written_while_a_piece_of_the_journal_is_sent() -> None:
    memory, arrived, go = MemoryObjects(), Event(), Event()

    def held(number: int) -> None:
        if number == 1:
            arrived.set()
            assert go.wait(PATIENCE_S)

    landing = begun(image_store(Pins(memory, held)))
    first, *rest = blocks()
    landing.write(first)
    landing.write(rest[0])  # the last chip of a block waits for the next one
    assert arrived.wait(PATIENCE_S)
    try:
        written = _stored(memory)
        landing.write(rest[1])
        _until(lambda: _stored(memory) > written)
    finally:
        go.set()
    landing.write(rest[2])
    landing.finish()
    assert landing.open().read_at(0, 4 * BLOCK) == b"".join(blocks())
    landing.close()


def test_a_piece_that_cannot_be_sent_ends_the_landing_which_is_gone_on_with_later() -> None:
    memory = MemoryObjects()

    def away(number: int) -> None:
        if number >= 2:
            raise StorageUnavailable("images", "made to fail")

    landing = begun(image_store(Pins(memory, away)))
    with pytest.raises(StorageUnavailable):
        _complete(landing, blocks())
    with pytest.raises(StorageUnavailable):
        landing.finish()
    landing.close()
    storage = image_store(Pins(memory))
    assert list(storage.images()) == []
    again, kept = storage.landing("l"), bytearray()
    assert again.begun_with() == INFO
    offset = again.restore(kept.extend)
    assert 0 < offset == len(kept) < 4 * BLOCK
    again.write(memoryview(b"".join(blocks()))[offset:])
    again.finish()
    assert again.open().read_at(0, 4 * BLOCK) == b"".join(blocks())
    again.close()


def test_nobody_asks_for_epochs_on_behalf_of_new_chips() -> None:
    objects = Pins(MemoryObjects())
    storage = image_store(objects)
    landing = begun(storage)
    landing.write(blocks()[0])
    asked = objects.epochs_asked  # the view that the writer began with
    for block in (*blocks()[1:], *blocks()):  # the second time its own chips are known to it
        landing.write(block)
    landing.close()
    assert objects.pieces_sent > 1
    assert objects.epochs_asked == asked


def test_chips_that_a_reclaim_condemns_while_they_are_relied_on_are_stored_again() -> None:
    memory = MemoryObjects()
    storage = image_store(Pins(memory))
    data = b"".join(blocks(count=1))
    add(storage, data)
    keys = distinct(storage.chips.load_view().tables[0].keys)

    def condemn(number: int) -> None:
        if number == 1:
            assert epochs.create(memory, 1, Condemned(frozenset(), keys))

    landing = begun(image_store(Pins(memory, condemn)))
    _complete(landing, blocks())  # the first is there already
    assert landing.finish().stored_bytes > 4 * BLOCK
    landing.close()


def _complete(landing: Landing, rest: list[memoryview]) -> None:
    for block in rest:
        landing.write(block)
    landing.finish()


def _stored(memory: MemoryObjects) -> int:
    found = [*memory.list("landings/l/"), *memory.list("packs/")]
    return sum(info.size_bytes for info in found if not info.name.endswith("/journal"))


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)

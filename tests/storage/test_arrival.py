"""An add taken up after a death, from what the landings kept and what was under way."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.arrival import Arrival
from storage.chips.memory import MemoryObjects
from storage.protocols import SourceInfo
from storage.received import STEP_BYTES, Received
from tests.storage.stores import Bytes, image_store
from tests.storage.test_received import DATA, INFO, RING, left_by_a_dead_process


class Served:
    """A source of `DATA` that remembers where it was read from."""

    def __init__(self) -> None:
        self.opened_at: list[int] = []

    @contextmanager
    def open(self, offset: int, _info: SourceInfo) -> Iterator[Bytes]:
        self.opened_at.append(offset)
        yield Bytes(DATA[offset:])

    def probe(self) -> SourceInfo:
        return INFO

    def peek(self, size: int) -> bytes:
        return DATA[:size]

    packed_checksum = None


def test_what_was_under_way_is_given_to_every_landing_and_not_fetched_again(tmp_path: Path) -> None:
    stores = {name: image_store(MemoryObjects()) for name in ("one", "two")}
    left_by_a_dead_process(tmp_path / "ring", 0, 3 * STEP_BYTES - 7)
    source = Served()
    arrival = Arrival(
        {name: store.landing("l") for name, store in stores.items()},
        1 << 40,
        received=Received(tmp_path / "ring", RING),
    )
    assert arrival.take_up(INFO) == 3 * STEP_BYTES - 7
    arrival.pull(source, INFO, lambda _done, _all: None)
    arrived = arrival.finish()
    arrival.close()
    assert source.opened_at == [3 * STEP_BYTES - 7]
    assert arrived.digests.md5 == hashlib.md5(DATA).hexdigest()
    for store in stores.values():
        assert store.landing("l").open().read_at(0, len(DATA)) == DATA
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_started_over_has_nothing_under_way(tmp_path: Path) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, STEP_BYTES)
    store = image_store(MemoryObjects())
    arrival = Arrival({"one": store.landing("l")}, 1 << 40, received=Received(tmp_path / "ring", RING))
    arrival.start_over(INFO)
    assert arrival.take_up(INFO) == 0
    arrival.close()

"""An add taken up after a death, from what the landings kept and what was under way."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from catalog.errors import StorageUnavailable
from storage.protocols import ObjectStore, SourceInfo
from storage.transfer.arrival import Arrival, Arrived
from storage.transfer.receive_buffer import ReceiveBuffer
from storage.transfer.transfer import NOTE_BYTES
from tests.faults.faulty_objects import FaultyObjects
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import Bytes, image_store
from tests.storage.transfer.rings import INFO, RING, content
from tests.storage.transfer.test_receive_buffer import left_by_a_dead_process


class Served:
    """A source of `content` that remembers where it was read from. stop: it breaks off after so many bytes."""

    def __init__(self, stop: int | None = None) -> None:
        self.opened_at: list[int] = []
        self._stop = stop

    @contextmanager
    def open(self, offset: int, _info: SourceInfo) -> Iterator[Bytes]:
        self.opened_at.append(offset)
        yield Bytes(content()[offset:], 50_000, self._stop)

    def probe(self) -> SourceInfo:
        return INFO

    def peek(self, size: int) -> bytes:
        return content()[:size]

    packed_checksum = None


def test_what_was_under_way_is_given_to_every_landing_and_not_fetched_again(tmp_path: Path) -> None:
    stores = {name: image_store(MemoryObjects()) for name in ("one", "two")}
    left_by_a_dead_process(tmp_path / "ring", 0, 3 * NOTE_BYTES - 7)
    source = Served()
    arrival = Arrival(
        {name: store.landing("l") for name, store in stores.items()},
        1 << 40,
        received=ReceiveBuffer(tmp_path / "ring", RING),
    )
    assert arrival.take_up(INFO) == 3 * NOTE_BYTES - 7
    arrival.pull(source, INFO, lambda _done, _all: None)
    arrived = arrival.finish()
    arrival.close()
    assert source.opened_at == [3 * NOTE_BYTES - 7]
    assert arrived.digests.md5 == hashlib.md5(content()).hexdigest()
    for store in stores.values():
        assert store.landing("l").open().read_at(0, len(content())) == content()
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_started_over_has_nothing_under_way(tmp_path: Path) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, NOTE_BYTES)
    store = image_store(MemoryObjects())
    arrival = Arrival({"one": store.landing("l")}, 1 << 40, received=ReceiveBuffer(tmp_path / "ring", RING))
    arrival.start_over(INFO)
    assert arrival.take_up(INFO) == 0
    arrival.close()


@pytest.mark.parametrize("at", [2, 4, 8])
def test_a_storage_that_fails_while_it_is_given_what_was_under_way_stops_no_other(tmp_path: Path, at: int) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, 3 * NOTE_BYTES)
    good, faulty = image_store(MemoryObjects()), image_store(FaultyObjects(MemoryObjects(), at))
    source, threads = Served(), set(threading.enumerate())
    arrival = Arrival(
        {"faulty": faulty.landing("l"), "good": good.landing("l")},
        1 << 40,
        received=ReceiveBuffer(tmp_path / "ring", RING),
    )
    assert arrival.take_up(INFO) == 3 * NOTE_BYTES
    arrival.pull(source, INFO, lambda _done, _all: None)
    arrived = arrival.finish()
    arrival.close()
    assert (source.opened_at, list(arrived.stored)) == ([3 * NOTE_BYTES], ["good"])
    assert isinstance(arrived.failed["faulty"], StorageUnavailable)
    assert good.landing("l").open().read_at(0, len(content())) == content()
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= threads, "those of the storage that fell out have ended, too"


@pytest.mark.parametrize("at", [2, 7, 28])
def test_where_the_only_storage_fails_nothing_is_left_in_memory_and_the_add_can_go_on(tmp_path: Path, at: int) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, 3 * NOTE_BYTES)
    objects = MemoryObjects()
    threads = set(threading.enumerate())
    with pytest.raises(StorageUnavailable):
        added(FaultyObjects(objects, at), tmp_path)
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= threads
    assert added(objects, tmp_path).digests.md5 == hashlib.md5(content()).hexdigest()


def added(objects: ObjectStore, folder: Path) -> Arrived:
    """Add all of `content` to a store."""
    with closing(adding(objects, folder)) as arrival:
        arrival.take_up(INFO)
        arrival.pull(Served(), INFO, lambda _done, _all: None)
        return arrival.finish()


def test_a_storage_that_fails_while_it_is_closed_leaves_nothing_in_memory(tmp_path: Path) -> None:
    objects = FaultyObjects(MemoryObjects())
    arrival = adding(objects, tmp_path)
    arrival.take_up(INFO)
    with pytest.raises(ConnectionResetError):
        arrival.pull(Served(stop=100_000), INFO, lambda _done, _all: None)
    assert list(tmp_path.iterdir())
    while not any(step.startswith("publish") for step in objects.steps):
        time.sleep(0.01)  # what works in the background comes to rest
    time.sleep(0.3)
    objects.at = len(objects.steps)
    with pytest.raises(StorageUnavailable):
        arrival.close()
    assert not list(tmp_path.iterdir())


def adding(objects: ObjectStore, folder: Path) -> Arrival:
    landing = image_store(objects).landing("l")
    return Arrival({"one": landing}, 1 << 40, received=ReceiveBuffer(folder / "ring", RING))

import hashlib
import random
import time
import tracemalloc

import pytest

from catalog.errors import CapacityExceeded, UnsafeImage
from storage.imagestore.storage import ImageStore
from storage.protocols import Landing, SourceInfo
from storage.transfer.bandwidth import SteadyPace
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.services.payload import payload
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import Bytes, image, image_store


@payload
def content() -> bytes:
    return random.Random(1).randbytes(5_000_000)


def landings(count: int, capacity: int | None = None) -> tuple[list[ImageStore], list[Landing]]:
    stores = [image_store(MemoryObjects(), capacity_bytes=capacity) for _ in range(count)]
    opened: list[Landing] = [store.landing("l") for store in stores]
    for landing in opened:
        landing.begin(SourceInfo(url="test:"))
    return stores, opened


class Counting(Bytes):
    """Counts how many bytes were read from it."""

    read = 0

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        self.read += count
        return count


def test_a_source_is_read_once_for_several_landings() -> None:
    stores, opened = landings(3)
    source, digester = Counting(content(), step=70_001), Digester(("sha512",))
    seen: list[tuple[int, int | None]] = []
    moved = transfer(source, opened, digester, size_bytes=len(content()), progress=lambda *done: seen.append(done))
    assert source.read == moved.size_bytes == len(content())
    assert seen[-1] == (len(content()), len(content()))
    assert seen == sorted(seen)
    assert digester.hexdigest("sha512") == hashlib.sha512(content()).hexdigest()
    for store, landing in zip(stores, opened, strict=True):
        landing.finish()
        landing.close()
        store.publish("l", image("i"), digester.result())
        assert store.open("i").read_at(0, len(content())) == content()


def test_a_landing_that_fails_drops_out_and_is_named_by_its_position() -> None:
    _, opened = landings(1)
    _, small = landings(1, capacity=300_000)
    digester = Digester()
    moved = transfer(Bytes(content()), [*small, *opened], digester)
    assert list(moved.failed) == [0]
    assert isinstance(moved.failed[0], CapacityExceeded)
    opened[0].finish()
    assert opened[0].open().read_at(0, len(content())) == content()
    small[0].discard()


def test_the_last_landing_that_fails_ends_the_transfer() -> None:
    _, small = landings(1, capacity=300_000)
    with pytest.raises(CapacityExceeded):
        transfer(Bytes(content() * 4), small, digester := Digester())
    digester.close()
    small[0].discard()


def test_a_consumer_that_refuses_ends_the_transfer_early() -> None:
    _, opened = landings(1)
    source = Counting(content() * 6)

    def refuse(_view: memoryview) -> None:
        raise UnsafeImage(["a backing file"])

    with pytest.raises(UnsafeImage):
        transfer(source, opened, digester := Digester(), [refuse])
    digester.close()
    opened[0].close()
    assert source.read < len(content()) * 5


def test_a_slow_consumer_holds_the_reader_back() -> None:
    source = Counting(bytes(40 << 20))
    ahead: list[int] = []
    taken = 0

    def slow(view: memoryview) -> None:
        nonlocal taken
        time.sleep(0.003)
        taken += len(view)
        ahead.append(source.read - taken)

    transfer(source, [], digester := Digester(), [slow])
    digester.close()
    assert max(ahead) <= 6 << 20


def test_memory_does_not_grow_with_the_image() -> None:
    _, opened = landings(1)
    transfer(Bytes(content()), opened, first := Digester())  # tables and compressors are there from now on
    first.close()
    tracemalloc.start()
    transfer(Zeros(200 << 20), opened, digester := Digester(), start=len(content()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    digester.close()
    opened[0].close()
    assert peak < 40 << 20


class Zeros:
    def __init__(self, size: int) -> None:
        self._left = size

    def readinto(self, buffer: memoryview) -> int:
        count = min(self._left, len(buffer))
        buffer[:count] = bytes(count)
        self._left -= count
        return count


def test_the_bandwidth_cap_is_kept() -> None:
    began = time.monotonic()
    transfer(Bytes(content()[:2_000_000]), [], digester := Digester(), pace=SteadyPace(4_000_000))
    digester.close()
    assert time.monotonic() - began >= 0.45

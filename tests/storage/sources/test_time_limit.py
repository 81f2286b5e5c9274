"""A whole transfer has an end, however a server spins it out; what came before is kept."""

import gzip
import time
from collections.abc import Callable

import pytest

from catalog.errors import TransferTooLong
from catalog.settings import Settings
from storage.protocols import SourceInfo
from storage.sources import open_source
from storage.sources.time_limit import TimedSource
from tests.services.faulty_http import Faults, FaultyHttp
from tests.services.payload import payload, random_bytes
from tests.storage.sources.reading import fetch, read, read_until_broken


@payload
def body() -> bytes:
    return random_bytes(16 << 20, 5)


SLOW = 0.1  # between blocks of 64 KiB: 0.6 MB/s, far above the minimum pace, 25 s for all
LIMIT_S = 1.5
PATIENCE_S = 15  # on a busy machine
Change = Callable[..., Settings]


@pytest.fixture
def limited(with_: Change) -> Settings:
    return with_(total_timeout_s=LIMIT_S)


@pytest.mark.parametrize("mirrors", [1, 2])
def test_a_trickle_above_the_minimum_pace_ends_with_what_came(
    server: FaultyHttp, limited: Settings, mirrors: int
) -> None:
    url = " ".join([server.serve("/x", Faults(content=body(), block_delay_s=SLOW))] * mirrors)
    source, began = open_source(url, limited), time.monotonic()
    with source.open(0, source.probe()) as stream:
        kept, error = read_until_broken(stream)
    assert time.monotonic() - began < PATIENCE_S
    assert isinstance(error, TransferTooLong)
    assert "all 1.5 s that a transfer may take are over" in str(error)
    assert kept
    assert body().startswith(kept)
    assert error.offset == len(kept)


def test_the_limit_is_one_for_all_attempts(server: FaultyHttp, limited: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), block_delay_s=SLOW))
    source = open_source(url, limited)
    info = source.probe()
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    asked = len(server.requests)
    with pytest.raises(TransferTooLong):
        source.open(len(kept), info)
    assert len(server.requests) == asked
    again = open_source(url, limited)  # another add of the same image
    server.change("/x", block_delay_s=0.0)
    with again.open(len(kept), info) as stream:
        assert kept + read(stream) == body()


def test_packed_bytes_that_unpack_to_nothing_end_too(server: FaultyHttp, limited: Settings) -> None:
    empty = gzip.compress(b"x") + gzip.compress(b"") * 400_000
    source = open_source(server.serve("/x", Faults(content=empty, block_delay_s=SLOW)), limited)
    with source.open(0, source.probe()) as stream, pytest.raises(TransferTooLong):
        read(stream)


def test_skipping_ends_too(server: FaultyHttp, limited: Settings) -> None:
    url = server.serve("/x", Faults(content=body()))
    info = open_source(url, limited).probe()
    server.change("/x", ranges=False, block_delay_s=SLOW)
    with pytest.raises(TransferTooLong):
        open_source(url, limited).open(len(body()) - 1, info)


def test_the_time_begins_with_the_reading_and_0_is_no_limit(
    server: FaultyHttp, with_: Change, settings: Settings
) -> None:
    url = server.serve("/x", Faults(content=body()))
    moments = [0.0]
    plain = open_source(url, with_(total_timeout_s=0))
    timed = TimedSource(plain, 10, "x", lambda: moments[-1])
    info: SourceInfo = timed.probe()
    moments.append(100.0)
    with timed.open(0, info) as stream:
        moments.append(109.9)
        assert stream.readinto(memoryview(bytearray(8))) == 8
        moments.append(110.0)
        with pytest.raises(TransferTooLong):
            stream.readinto(memoryview(bytearray(8)))
    assert fetch(open_source(url, settings)) == body()

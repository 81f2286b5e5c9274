"""Servers that cut, stall, lie, drip, never end: bounded time, a clear sentence, the right bytes or none."""

import gzip
import random
import time
from collections.abc import Callable

import pytest

from catalog.errors import (
    SourceChanged,
    SourceForbidden,
    SourceNotFound,
    TransferInterrupted,
    UnsafeImage,
)
from catalog.settings import Settings
from storage.protocols import SourceInfo
from storage.sources import open_source
from tests.services.faulty_http import Faults, FaultyHttp
from tests.services.payload import payload
from tests.storage.sources.reading import fetch, read, read_until_broken


@payload
def body() -> bytes:
    return random.Random(3).randbytes(3 << 20)


PATIENCE = 20  # seconds, on a busy machine; without the limit under test it would be a minute or for ever
Change = Callable[..., Settings]


def kept_until_broken(
    url: str, settings: Settings, info: SourceInfo | None = None
) -> tuple[bytes, TransferInterrupted]:
    source = open_source(url, settings)
    with source.open(0, info or source.probe()) as stream:
        return read_until_broken(stream)


def test_head_may_be_refused(server: FaultyHttp, settings: Settings) -> None:
    for status in (400, 403, 404, 405, 500, 501):
        url = server.serve(f"/{status}", Faults(content=body(), head_status=status))
        info = open_source(url, settings).probe()
        assert (info.size_bytes, info.resumable) == (len(body()), True)
    assert server.body_bytes < 6 * 1024


def test_ranges_are_found_though_not_announced(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), announce_ranges=False))
    assert open_source(url, settings).probe().resumable


def test_a_server_without_ranges_is_read_from_the_start_and_skipped(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), ranges=False))
    source = open_source(url, settings)
    info = source.probe()
    assert not info.resumable
    with source.open(100_000, info) as stream:
        assert read(stream) == body()[100_000:]


def test_without_validators_nothing_is_gone_on_with(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), etag="", modified=""))
    source = open_source(url, settings)
    info = source.probe()
    assert not info.resumable
    with pytest.raises(SourceChanged):
        source.open(100, info)


def test_a_weak_etag_is_no_validator(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), etag='W/"1"', modified=""))
    info = open_source(url, settings).probe()
    assert (info.etag, info.resumable) == (None, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda: {"etag": '"v2"'},
        lambda: {"etag": '"v2"', "modified": "Wed, 04 Nov 2026 08:00:00 GMT"},
        lambda: {"etag": "", "modified": "Wed, 04 Nov 2026 08:00:00 GMT"},
        lambda: {"content": body()[1:]},
    ],
)
def test_a_change_of_validators_or_size_is_a_changed_source(
    server: FaultyHttp, settings: Settings, change: Callable[[], dict[str, object]]
) -> None:
    url = server.serve("/x", Faults(content=body()))
    source = open_source(url, settings)
    info = source.probe()
    server.change("/x", **change())
    with pytest.raises(SourceChanged, match="starting over"):
        source.open(5000, info)


def test_a_cut_body_is_resumed_with_only_the_rest(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), cut_at=1_000_000))
    info = open_source(url, settings).probe()
    kept, error = kept_until_broken(url, settings, info)
    assert (kept, error.offset) == (body()[:1_000_000], 1_000_000)
    before = server.body_bytes
    with open_source(url, settings).open(len(kept), info) as stream:
        assert kept + read(stream) == body()
    assert server.body_bytes - before <= len(body()) - len(kept) + 512  # a look at the first of them
    assert server.gets("/x")[-1]["If-Range"] == '"v1"'


@pytest.mark.parametrize("faults", [{"chunked": True}, {"endless": True}])
def test_a_body_cut_in_chunks_is_seen_though_its_length_is_unknown(
    server: FaultyHttp, settings: Settings, faults: dict[str, object]
) -> None:
    url = server.serve("/x", Faults(content=body(), ranges=False, cut_at=500_000, cut_times=9))
    server.change("/x", **faults)
    kept, _ = kept_until_broken(url, settings)
    assert kept == body()[:500_000]


@pytest.mark.parametrize("faults", [{"chunked": True}, {"close_delimited": True}])
def test_bodies_of_unknown_length_arrive_whole(
    server: FaultyHttp, settings: Settings, faults: dict[str, object]
) -> None:
    url = server.serve("/x", Faults(content=body(), ranges=False))
    server.change("/x", **faults)
    source = open_source(url, settings)
    assert source.probe().size_bytes is None
    assert fetch(source) == body()


def test_a_silent_server_is_given_up(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), stall_at=200_000))
    started = time.monotonic()
    _, error = kept_until_broken(url, settings)
    assert time.monotonic() - started < PATIENCE
    assert "no byte came in time" in str(error)


def test_a_dripping_server_is_given_up(server: FaultyHttp, with_: Change) -> None:
    url = server.serve("/x", Faults(content=body(), drip=True, block_delay_s=0.02))
    started = time.monotonic()
    with pytest.raises(TransferInterrupted, match="bytes came in"):
        fetch(open_source(url, with_(min_pace_bytes_s=10_000)))
    assert time.monotonic() - started < PATIENCE


def test_dripping_headers_are_given_up(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), header_drip=True))
    started = time.monotonic()
    with pytest.raises(TransferInterrupted, match="no byte came in time"):
        open_source(url, settings).probe()
    assert time.monotonic() - started < PATIENCE


def test_an_endless_body_ends_at_the_largest_image(server: FaultyHttp, with_: Change) -> None:
    url = server.serve("/x", Faults(content=body(), ranges=False, endless=True))
    with pytest.raises(UnsafeImage, match="more than"):
        fetch(open_source(url, with_(max_virtual_size=20 << 20)))


def test_a_length_too_long_breaks_off(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), length_lie=10, ranges=False))
    kept, error = kept_until_broken(url, settings)
    assert len(kept) == len(body())
    assert "early" in str(error) or "no byte" in str(error)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_length_too_short_is_no_truncated_image(server: FaultyHttp, settings: Settings, ranges: bool) -> None:
    url = server.serve("/x", Faults(content=body(), length_lie=-10, ranges=ranges))
    with pytest.raises(SourceForbidden, match="more bytes than the Content-Length"):
        fetch(open_source(url, settings))


def test_a_server_that_closes_no_connection_costs_a_moment(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), stays_open=True))
    began = time.monotonic()
    assert fetch(open_source(url, settings)) == body()
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_when_to_come_back(server: FaultyHttp, settings: Settings, status: int) -> None:
    url = server.serve("/x", Faults(content=body(), fail_first=1, fail_status=status, retry_after="7", head_status=501))
    with pytest.raises(TransferInterrupted) as caught:
        open_source(url, settings).probe()
    assert caught.value.retry_after_s == 7
    assert open_source(url, settings).probe().size_bytes == len(body())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, SourceNotFound),
        (410, SourceNotFound),
        (401, SourceForbidden),
        (403, SourceForbidden),
        (451, SourceForbidden),
        (500, TransferInterrupted),
        (502, TransferInterrupted),
        (504, TransferInterrupted),
    ],
)
def test_each_status_is_the_error_it_means(
    server: FaultyHttp, settings: Settings, status: int, kind: type[Exception]
) -> None:
    url = server.serve("/x", Faults(head_status=status, fail_first=9, fail_status=status))
    with pytest.raises(kind, match=str(status)):
        open_source(url, settings).probe()


def test_an_encoding_that_was_not_asked_for_is_undone(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), encoding="gzip"))
    source = open_source(url, settings)
    info = source.probe()
    assert (info.size_bytes, info.resumable) == (None, False)
    assert fetch(source) == body()


def test_an_unknown_encoding_is_refused(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=body(), encoding="br"))
    with pytest.raises(SourceForbidden, match="'br'"):
        fetch(open_source(url, settings))


def test_an_encoded_bomb_is_stopped(server: FaultyHttp, with_: Change) -> None:
    url = server.serve("/x", Faults(content=bytes(80 << 20), encoding="gzip"))
    with pytest.raises(UnsafeImage, match="more than 100 times"):
        fetch(open_source(url, with_(max_unpack_ratio=100, read_timeout_s=20)))


def test_a_gzip_file_labelled_as_encoded_is_the_file(server: FaultyHttp, settings: Settings) -> None:
    packed = gzip.compress(body())
    url = server.serve("/disk.raw.gz", Faults(content=packed, encoding="x-gzip"))
    info = open_source(url, settings).probe()
    assert (info.packing, info.packed_size_bytes) == ("gz", len(packed))
    assert fetch(open_source(url, settings)) == body()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xff5\r\n\r\n",
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes \xb2-\xff/9\r\nETag: \xe9\r\n\r\nab",
        b"HTTP/1.1 503 Busy\r\nRetry-After: Tue, 03 Nov 99999999999999999999 08:00:00 GMT\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://s3..amazonaws\rcom/b\x00k\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (100 << 10),
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 7-8/9\r\n\r\nab",
        b"HTTP/1.1 206 OK\r\nContent-Type: multipart/byteranges\r\n\r\nab",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n\r\n",
    ],
)
def test_nonsense_is_a_clear_error(server: FaultyHttp, settings: Settings, raw: bytes) -> None:
    url = server.serve("/x", Faults(raw=raw))
    with pytest.raises((TransferInterrupted, SourceForbidden, SourceChanged)):
        fetch(open_source(url, settings))


def test_what_a_server_calls_its_answer_is_not_repeated(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x?token=s3cr3t", Faults(raw=b"HTTP/1.1 403 \x1b[31mnot with s3cr3t\r\n\r\n"))
    with pytest.raises(SourceForbidden, match="the server answered 403 Forbidden: the server forbids it"):
        open_source(url, settings).probe()


@pytest.mark.parametrize("etag", ['"\x1b[31m"', f'"{"x" * 2000}"'])
def test_a_validator_that_cannot_be_shown_is_none(server: FaultyHttp, settings: Settings, etag: str) -> None:
    info = open_source(server.serve("/x", Faults(content=body(), etag=etag)), settings).probe()
    assert (info.etag, info.last_modified is None, info.resumable) == (None, False, True)
    info = open_source(server.serve("/x", Faults(content=body(), etag=etag, modified="")), settings).probe()
    assert not info.resumable

"""What every source does, whatever its scheme, shown against real servers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest, SourceChanged, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.settings import Settings
from storage.protocols import SourceStream
from storage.sources import open_plain, open_source
from storage.sources.http.source import HttpSource
from storage.sources.streams import PeekableSource
from tests.contracts.source_servers import (
    Parallel,
    Place,
    file_place,
    ftp_place,
    http_place,
    s3_place,
    sftp_place,
    upload_in_a_bucket_place,
    upload_place,
)
from tests.services.payload import payload, random_bytes

SIZE = 12 << 20


@payload
def body() -> bytes:
    return random_bytes(SIZE, 7)


SLACK = 300 << 10  # protocol bytes of a few requests
_NUMBERS = count()


@contextmanager
def parallel_place(folder: Path) -> Iterator[Place]:
    with http_place(folder, parallel=True) as place:
        yield place


@contextmanager
def wrapped_place(folder: Path) -> Iterator[Place]:
    with http_place(folder, wrapped=True) as place:
        yield place


PLACES = {
    "file": file_place,
    "upload": upload_place,
    "upload-in-a-bucket": upload_in_a_bucket_place,
    "http": http_place,
    "http-parallel": parallel_place,
    "http-wrapped": wrapped_place,
    "ftp": ftp_place,
    "sftp": sftp_place,
    "s3": s3_place,
}


@pytest.fixture(scope="module", params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with PLACES[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def name(place: Place) -> str:
    """A file of SIZE bytes that no other test touches."""
    made = f"disk {next(_NUMBERS)} 100% 镜像.raw"
    place.put(made, body())
    return made


def source(place: Place, name: str, settings: Settings | None = None) -> PeekableSource:
    open_ = open_source if place.wrapped else open_plain
    uploads = None if settings else place.uploads
    made = open_(place.url(name), settings or place.settings, credentials=place.credentials, uploads=uploads)
    return Parallel(made) if place.parallel and isinstance(made, HttpSource) else made


def read(stream: SourceStream, limit: int = 1 << 40, step: int = 1 << 20) -> bytes:
    buffer, found = memoryview(bytearray(step)), bytearray()
    while len(found) < limit and (size := stream.readinto(buffer[: limit - len(found)])):
        found += buffer[:size]
    return bytes(found)


def read_until_broken(stream: SourceStream, kept: bytearray) -> TransferInterrupted:
    buffer = memoryview(bytearray(256 << 10))
    try:
        while size := stream.readinto(buffer):
            kept += buffer[:size]
    except TransferInterrupted as error:
        return error
    raise AssertionError("the stream ended as if nothing had happened")


def test_probe_tells_size_and_that_it_resumes_without_moving_the_body(place: Place, name: str) -> None:
    before = place.sent()
    info = source(place, name).probe()
    assert (info.size_bytes, info.resumable) == (SIZE, True)
    assert info.address == (None if place.local else "127.0.0.1")
    assert place.sent() - before < SLACK


def test_the_password_never_shows(place: Place, name: str) -> None:
    info = source(place, name).probe()
    assert not place.secret or place.secret not in str(info)


@pytest.mark.parametrize("step", [4099, 1 << 20, 32 << 20])
def test_whole_file_in_any_buffer(place: Place, name: str, step: int) -> None:
    made = source(place, name)
    with made.open(0, made.probe()) as stream:
        assert read(stream, step=step) == body()
        assert read(stream) == b""


@pytest.mark.parametrize("offset", [1, 65537, SIZE // 2, SIZE - 1, SIZE])
def test_reading_goes_on_anywhere_and_moves_only_the_rest(place: Place, name: str, offset: int) -> None:
    info = source(place, name).probe()
    before = place.sent()
    with source(place, name).open(offset, info) as stream:
        assert read(stream) == body()[offset:]
    assert place.sent() - before <= (SIZE - offset) * 1.01 + SLACK


def test_a_reader_that_dies_in_the_middle_is_followed_by_one_that_fetches_the_rest(place: Place, name: str) -> None:
    half = SIZE // 2
    info = source(place, name).probe()
    with source(place, name).open(0, info) as stream:
        kept = read(stream, half)
    before = place.sent()
    with source(place, name).open(half, source(place, name).probe()) as stream:
        assert kept + read(stream) == body()
    assert place.sent() - before <= half * 1.01 + SLACK


def test_a_connection_cut_in_the_middle_is_said_and_resumed(place: Place, name: str) -> None:
    if place.cut is None:
        pytest.skip("no connection to cut")
    if place.cut_after is None:
        pytest.skip("its data connections pass no proxy; cut at the server instead")
    info = source(place, name).probe()
    kept = bytearray()
    with source(place, name).open(0, info) as stream:
        place.cut_after(SIZE // 3)
        if place.heals:
            assert read(stream) == body()
            return
        error = read_until_broken(stream, kept)
    assert error.offset == len(kept)
    assert len(kept) < SIZE
    assert error.retryable
    assert not place.secret or place.secret not in str(error)
    before = place.sent()
    with source(place, name).open(len(kept), info) as stream:
        assert bytes(kept) + read(stream) == body()
    assert place.sent() - before <= (SIZE - len(kept)) * 1.01 + SLACK


def test_a_server_that_dies_in_the_middle_is_said_and_resumed(place: Place) -> None:
    if place.cut is None:
        pytest.skip("no server that could die")
    big, name = body() * 2, f"big{next(_NUMBERS)}.raw"  # more than the kernel's buffers hold
    place.put(name, big)
    info, kept = source(place, name).probe(), bytearray()
    with source(place, name).open(0, info) as stream:
        kept += read(stream, 1 << 20)
        place.cut()
        if place.heals:
            assert bytes(kept) + read(stream) == big
            return
        assert read_until_broken(stream, kept).offset == len(kept)
    assert 1 << 20 <= len(kept) < len(big)
    before = place.sent()
    with source(place, name).open(len(kept), info) as stream:
        assert bytes(kept) + read(stream) == big
    assert place.sent() - before <= (len(big) - len(kept)) * 1.01 + SLACK


def test_a_file_that_changed_is_never_mixed_with_the_one_begun(place: Place, name: str) -> None:
    info = source(place, name).probe()
    place.put(name, body()[:-1] + b"x" * 5)
    for offset in (0, 1000, SIZE):
        with pytest.raises(SourceChanged), source(place, name).open(offset, info) as stream:
            read(stream)


def test_an_empty_file_has_no_bytes(place: Place) -> None:
    if place.scheme == "upload":  # refused before it begins
        with pytest.raises(InvalidRequest, match="not empty"):
            place.put("empty.raw", b"")
        return
    place.put("empty.raw", b"")
    made = source(place, "empty.raw")
    info = made.probe()
    assert info.size_bytes == 0
    with made.open(0, info) as stream:
        assert read(stream) == b""


def test_what_is_not_there_is_not_found(place: Place) -> None:
    with pytest.raises(SourceNotFound) as caught:
        source(place, "absent.raw").probe()
    assert not caught.value.retryable
    assert not place.secret or place.secret not in str(caught.value)


def test_first_bytes_can_be_looked_at_for_little(place: Place, name: str) -> None:
    before = place.sent()
    assert source(place, name).peek(512) == body()[:512]
    assert place.sent() - before < (SIZE // 2 if place.scheme == "ftp" else SLACK)  # what the server's kernel took
    place.put("tiny", b"abc")
    assert source(place, "tiny").peek(512) == b"abc"


def test_wrong_credentials_are_refused_and_not_retried(place: Place, name: str) -> None:
    if place.wrong is None:
        pytest.skip("no credentials here")
    prefix, credentials = place.wrong
    url = prefix.replace("NAME", "disk") if "NAME" in prefix else f"{prefix}disk"
    with pytest.raises(SourceForbidden) as caught:
        open_source(url, place.settings, credentials=credentials).probe()
    assert not caught.value.retryable
    assert ":wrong@" not in str(caught.value)


def test_a_place_off_limits_is_never_touched(place: Place, name: str) -> None:
    before = place.sent()
    with pytest.raises((SourceForbidden, SourceNotFound)):
        source(place, name, place.closed).probe()
    assert place.local or place.sent() == before


def test_nothing_stays_open_behind(place: Place, name: str) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def use() -> None:
        made = source(place, name)
        with made.open(100, made.probe()) as stream:
            read(stream, 1000)
        if place.cut is not None:
            place.cut()

    use()
    before = opened()
    for _ in range(5):
        use()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("source-")] == []
    assert opened() - before <= 4, "the proxy's threads may still be closing theirs, but not five times as many"

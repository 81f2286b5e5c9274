"""Whatever an HTTP or S3 server sends ends in the bytes of a file or in a typed error, in bounded time."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from storage.sources import fetch_checksum, mask, open_source
from tests.services.accepting import accepting
from tests.services.mangled import many
from tests.storage.sources.reading import read

FILE = b"image" * 40
RANGED = b"Content-Range: bytes 0-199/200\r\n"
FIELDS = (
    b'ETag: "v1"\r\nLast-Modified: Tue, 03 Nov 2026 08:00:00 GMT\r\nAccept-Ranges: bytes\r\nContent-Length: 200\r\n'
    b"Content-Type: application/octet-stream\r\nConnection: close\r\n"
)
SEEDS = (
    b"HTTP/1.1 200 OK\r\n" + FIELDS + b"\r\n" + FILE,
    b"HTTP/1.1 206 Partial Content\r\n" + RANGED + FIELDS + b"\r\n" + FILE,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"
    + FILE[:100]
    + b"\r\n64\r\n"
    + FILE[100:]
    + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /next?x=1#y\r\nSet-Cookie: a=b; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: Tue, 03 Nov 2026 08:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Elsewhere\r\nx-amz-bucket-region: eu-west-1\r\nLocation: https://s3.eu-west-1.amazonaws.com/b/k\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + FIELDS + b"\r\n\x1f\x8b\x08" + FILE,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + FIELDS + b"\r\n" + FILE,
)
WORDS = (
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Location: ",
    b"http://[",
    b"//",
    b"bytes ",
    b"gzip, ",
    b"chunked",
)
SAMPLE, MANY = 300, 40_000


@contextmanager
def answering(answers: Iterator[bytes]) -> Iterator[str]:
    """Send one answer after the other, whatever is asked, and close each time."""
    lock = threading.Lock()

    def serve(sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.settimeout(5)
            asked = b""
            while b"\r\n\r\n" not in asked and (piece := sock.recv(65536)):
                asked += piece
            with lock:
                answer = next(answers)
            sock.sendall(answer)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    with accepting(listener, accept) as port:
        yield f"127.0.0.1:{port}"


def told(settings: Settings, url: str) -> str:
    """Do all that is done with a source; return the sentence of the typed error that comes of it, empty for none."""
    try:
        source = open_source(url, settings)
        info = source.probe()
        for offset in (0, 7):
            with source.open(offset, info) as stream:
                read(stream)
    except ImagewrightError as error:
        return str(error)
    return ""


def fuzz(settings: Settings, scheme: str, count: int) -> None:
    answers = many(SEEDS, count, f"{scheme} answers", WORDS)
    quick = settings.model_copy(update={"read_timeout_s": 0.5, "total_timeout_s": 20})
    with answering(itertools.chain(answers, itertools.repeat(b""))) as host:
        url = f"http://me:geheim@{host}/disk.raw" if scheme == "http" else f"s3://bucket/key?endpoint=http://{host}"
        assert "geheim" not in mask(url)
        for _ in range(count // 3):
            began = time.monotonic()
            sentence = told(quick, url)
            assert sentence.isprintable()
            assert "geheim" not in sentence
            assert time.monotonic() - began < 30


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_mangled_answers_end_in_a_typed_error(settings: Settings, scheme: str) -> None:
    fuzz(settings, scheme, SAMPLE)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_great_many_mangled_answers_end_in_a_typed_error(settings: Settings, scheme: str) -> None:
    fuzz(settings, scheme, MANY)


LISTED = (
    b"SHA256 (disk.raw) = "
    + b"a" * 64
    + b"\r\n"
    + b"b" * 64
    + b"  disk.raw\r\n# BLAKE2B HASH\r\n"
    + b"c" * 128
    + b"  disk.raw\r\n",
)


def test_mangled_lists_of_checksums_end_in_a_checksum_or_a_typed_error(settings: Settings) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    bodies = many(LISTED, 200, "lists", (b"SHA256 hash of ", b"Hash : ", b"\xff\xfe"))
    with answering(itertools.chain((head + body for body in bodies), itertools.repeat(head))) as host:
        for _ in range(200):
            with suppress(ImagewrightError):
                assert fetch_checksum(f"http://{host}/disk.raw", settings, sums_url=f"http://{host}/sums").hex

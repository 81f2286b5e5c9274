"""http:// and https:// sources."""

import time
from contextlib import AbstractContextManager, closing

from catalog.errors import SourceChanged, SourceForbidden, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.addresses import policy
from storage.sources.credentials import Credentials
from storage.sources.http_answers import (
    announces_ranges,
    coding_of,
    describe,
    guarded,
    info_of,
    range_headers,
    require_same,
    start_of,
    total,
)
from storage.sources.http_body import Body, LengthBody, Pace, body_of
from storage.sources.http_exchange import Answer, HttpClient, basic, refusal, with_header
from storage.sources.http_ranges import RangeStream, range_size
from storage.sources.streams import EmptyStream, at, read_up_to, skip
from storage.sources.unpack import UnpackedStream
from storage.sources.urls import SourceUrl
from storage.sources.wire import Broken

BLOCK = 64 << 10  # a peek up to this size is over before a receive buffer of normal size would help


def open_http(
    url: SourceUrl, settings: Settings, credentials: Credentials, source_address: str | None
) -> "HttpSource":
    """Return the source at an http(s) URL, with a bearer token or user and password where there are some."""
    given = credentials.or_url(url)
    authorize = None
    if given.token:
        authorize = with_header(f"Bearer {given.token}")
    elif given.user is not None:
        authorize = with_header(basic(given.user, given.password or ""))
    return HttpSource(url, HttpClient(settings, policy(settings, source_address), authorize, url.origin))


class HttpSource:
    """A file behind an HTTP server. Ranges are used where the server announces or proves them."""

    def __init__(self, url: SourceUrl, client: HttpClient) -> None:
        self.url, self.client, self.settings = url, client, client.settings
        self._round_trip_s: float | None = None

    def probe(self) -> SourceInfo:
        """Ask with HEAD; where that is refused or says too little, with a GET of one byte."""
        answer = self._ask("HEAD", {})
        if answer.status == 200 and announces_ranges(answer) and answer.header("Content-Length").strip("0"):
            return info_of(answer, self.url.masked, ranges=not coding_of(answer))
        if answer.status in (429, 503):
            raise refusal(answer, self.url.masked)
        answer = self._ask("GET", {"Range": "bytes=0-0"})
        if answer.status == 206 or (answer.status == 416 and total(answer) == 0):
            return info_of(answer, self.url.masked, ranges=answer.status == 206 and not coding_of(answer))
        if answer.status != 200:
            raise refusal(answer, self.url.masked)
        return info_of(answer, self.url.masked, ranges=False)

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes without asking for more."""
        answer = self.client.request("GET", self.url, {"Range": f"bytes=0-{size - 1}"}, brief=size <= BLOCK)
        with closing(answer.wire):
            if answer.status == 416:
                return b""
            if answer.status not in (200, 206):
                raise refusal(answer, self.url.masked)
            return read_up_to(self._stream(answer, 0), size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on; a server without ranges is read from the start and the kept part skipped."""
        size = info.size_bytes
        if size is not None and size == offset:
            require_same(self.url.masked, info, self.probe())
            return closing(EmptyStream())
        if size is not None and self._parallel(offset, info):
            connections = self.settings.parallel_ranges
            return closing(RangeStream(self.client, self.url, info, offset, connections))
        return self._open_one(offset, info)

    def _open_one(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        headers = range_headers(offset, None, info) if offset and info.resumable else {}
        try:
            answer = self.client.request("GET", self.url, headers)
        except TransferInterrupted as error:
            raise at(error, offset) from error
        try:
            start = self._check(answer, offset, info)
            stream = self._stream(answer, start)
            skip(stream, offset - start, self.url.masked)
        except BaseException:
            answer.wire.close()
            raise
        return closing(stream)

    def _stream(self, answer: Answer, start: int) -> "HttpStream | UnpackedStream":
        try:
            body = HttpStream(answer, body_of(answer), start, self.settings, self.url.masked)
        except Broken as error:
            raise TransferInterrupted(self.url.masked, start, str(error)) from error
        return decoded(body, answer, self.settings, self.url.masked)

    def _check(self, answer: Answer, offset: int, info: SourceInfo) -> int:
        """Return where the answer's body begins. Raises if it is no part of the file that `info` describes."""
        if answer.status not in (200, 206, 412, 416):
            raise refusal(answer, self.url.masked, offset)
        require_same(self.url.masked, info, info_of(answer, self.url.masked, ranges=False))
        if answer.status in (412, 416):
            raise SourceChanged(self.url.masked, describe(info), f"without a byte {offset}")
        start = start_of(answer)
        if start not in (0, offset) or (offset and not start and not guarded(info)):
            raise SourceChanged(self.url.masked, describe(info), "not readable from the middle")
        return start

    def _ask(self, method: str, headers: dict[str, str]) -> Answer:
        """Ask for the head of an answer only."""
        answer = self.client.request(method, self.url, headers, brief=True)
        answer.wire.close()
        self._round_trip_s = answer.wire.round_trip_s
        return answer

    def _parallel(self, offset: int, info: SourceInfo) -> bool:
        """Decide on several connections: only for a distant server, where one connection waits for round trips."""
        connections = self.settings.parallel_ranges
        if not info.resumable or info.size_bytes is None or connections < 2:
            return False
        if info.size_bytes - offset < 2 * range_size(info.size_bytes, connections):
            return False
        if self._round_trip_s is None:
            require_same(self.url.masked, info, self.probe())
        return (self._round_trip_s or 0.0) >= self.settings.parallel_round_trip_s


class HttpStream:
    """The body of one answer, from `offset` on."""

    def __init__(self, answer: Answer, body: Body, offset: int, settings: Settings, masked: str) -> None:
        self._wire, self._body, self._offset, self._masked = answer.wire, body, offset, masked
        self._pace = Pace(settings.read_timeout_s, settings.min_pace_bytes_s)
        self._limit = settings.max_virtual_size
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Read what is there."""
        if self._ended:
            return 0
        started = time.monotonic()
        try:
            size = self._body.readinto(buffer)
            if not size:
                self._end()
                return 0
            self._pace.note(started, size)
        except Broken as error:
            raise TransferInterrupted(self._masked, self._offset, str(error)) from error
        self._offset += size
        if self._offset > self._limit:
            raise UnsafeImage([f"source.size: {self._masked} sends more than {self._limit} bytes"])
        return size

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def _end(self) -> None:
        if isinstance(self._body, LengthBody) and self._body.has_more():
            raise Broken("the server sends more bytes than the Content-Length it announced")
        self._ended = True


def decoded(
    stream: HttpStream, answer: Answer, settings: Settings, masked: str
) -> HttpStream | UnpackedStream:
    """Undo a Content-Encoding that was not asked for, under the caps of compressed sources; refuse unknown ones."""
    coding = coding_of(answer)
    if not coding:
        return stream
    if coding not in ("gzip", "x-gzip"):
        raise SourceForbidden(masked, f"its server encodes it as {coding!r}, though identity was asked for")
    whole = bool(answer.header("Content-Length") or answer.header("Transfer-Encoding"))
    return UnpackedStream(stream, "gz", settings, masked, whole=whole)

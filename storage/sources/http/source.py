"""http:// and https:// sources."""

from contextlib import AbstractContextManager, closing

from catalog.errors import SourceChanged, TransferInterrupted
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.credentials import Credentials
from storage.sources.http.answers import (
    WHOLE,
    Likeness,
    announces_ranges,
    info_of,
    likeness,
    misses_the_start,
    range_headers,
    start_of,
    total,
)
from storage.sources.http.body import body_of
from storage.sources.http.exchange import Answer, HttpClient, basic, refusal, with_header
from storage.sources.http.ranges import RangeStream, range_size
from storage.sources.http.stream import HttpStream, RememberedStream, decoded
from storage.sources.http.trial import TrialStream
from storage.sources.network.addresses import NoConnection, policy
from storage.sources.network.wire import Broken
from storage.sources.same_file import describe, guarded
from storage.sources.streams import ClosableStream, EmptyStream, Tail, at, read_up_to, skip
from storage.sources.urls import SourceUrl

LOOK = 512  # enough to tell how a file is packed
BLOCK = 64 << 10  # a peek up to this size ends before a receive buffer of normal size would help


def open_http(url: SourceUrl, settings: Settings, credentials: Credentials) -> "HttpSource":
    """Return the source at an http(s) URL, with a bearer token or user and password if given."""
    given = credentials.or_url(url)
    authorize = None
    if given.token:
        authorize = with_header(f"Bearer {given.token}")
    elif given.user is not None:
        authorize = with_header(basic(given.user, given.password or ""))
    return HttpSource(url, HttpClient(settings, policy(settings), authorize, url.origin))


class HttpSource:
    """A file on an HTTP server. Ranges are used if the server proves to support them.

    HEAD is never used: caches, scripts and signed addresses answer it differently from the GET that counts, or not at
    all. The first bytes have to be read anyway.
    """

    def __init__(self, url: SourceUrl, client: HttpClient) -> None:
        self.url, self.client, self.settings = url, client, client.settings
        self.connections = client.settings.parallel_ranges
        self.wait_s = 0.0  # of the last request for a body, until its head
        self._round_trip_s: float | None = None
        self._tail = Tail()
        self._looked = b""  # by the last probe, for the peek after it

    def probe(self) -> SourceInfo:
        """Request the first bytes, or the file if the range is refused, and hang up after them."""
        info, self._looked = self._look(LOOK)
        return info

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes without requesting more."""
        looked, self._looked = self._looked, b""
        return looked[:size] if size <= len(looked) else self._look(size)[1]

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on; without ranges, read from the start and skip the kept part."""
        stream = self._opened(offset, info)
        return closing(RememberedStream(stream, offset, self._tail, self._keep_to_one))

    def open_one(self, offset: int, end: int | None, info: SourceInfo) -> ClosableStream:
        """Read `[offset, end)` over one connection."""
        whole = not offset and end == info.size_bytes
        headers = range_headers(offset, end, info) if info.resumable and not whole else {}
        answer = self._get(headers, offset)
        self.wait_s = answer.waited_s
        now = self._described(answer)
        if not offset or likeness(info, now) is not Likeness.DOUBTFUL:
            return self._part(answer, offset, end, info)
        answer.wire.close()
        return self._proven(offset, end, info, now)

    def open_parallel(self, offset: int, info: SourceInfo) -> ClosableStream:
        """Read from `offset` on over several connections."""
        return RangeStream(self.client, self.url, info, offset, self.connections)

    def request(self, method: str, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Request the file. brief: only little of the body will be read."""
        return self.client.request(method, self.url, headers, brief=brief)

    def _look(self, size: int) -> tuple[SourceInfo, bytes]:
        """Return the server's description of the file, and its first `size` bytes."""
        ranged = self._ask_range(size) if size <= BLOCK else None
        if ranged is not None:
            if ranged.status == 416 and total(ranged) == 0:
                ranged.wire.close()
                return info_of(ranged, self.url.masked, ranges=False), b""
            if not misses_the_start(ranged):
                return self._read_look(ranged, size, ranges=ranged.status == 206)
            ranged.wire.close()
        plain = self.request("GET", {}, brief=size <= BLOCK)
        return self._read_look(plain, size, ranges=ranged is None and announces_ranges(plain))

    def _ask_range(self, size: int) -> Answer | None:
        """Request the first bytes; None if the connection breaks, which says nothing about ranges."""
        try:
            return self.request("GET", {"Range": f"bytes=0-{size - 1}"}, brief=True)
        except NoConnection:
            raise
        except TransferInterrupted:
            return None

    def _read_look(self, answer: Answer, size: int, *, ranges: bool) -> tuple[SourceInfo, bytes]:
        self._round_trip_s = answer.wire.round_trip_s
        with closing(answer.wire):
            if answer.status not in (*WHOLE, 206):
                raise refusal(answer, self.url.masked)
            stream, undone = self._stream(answer, 0, None)
            head = read_up_to(stream, size)
        info = info_of(answer, self.url.masked, ranges=ranges and not undone, encoded=undone)
        return info, head

    def _opened(self, offset: int, info: SourceInfo) -> ClosableStream:
        if info.size_bytes == offset:
            return self._end_of(self.probe(), info)
        if self._distant(offset, info):
            return TrialStream(self, offset, info)
        return self.open_one(offset, info.size_bytes, info)

    def _end_of(self, now: SourceInfo, info: SourceInfo) -> ClosableStream:
        """Return the empty rest after the last byte of the file described by `info`."""
        match likeness(info, now):
            case Likeness.OTHER:
                raise SourceChanged(self.url.masked, describe(info), describe(now))
            case Likeness.DOUBTFUL:
                return self._proven(info.size_bytes or 0, info.size_bytes, info, now)
        return EmptyStream()

    def _get(self, headers: dict[str, str], offset: int) -> Answer:
        try:
            return self.request("GET", headers)
        except TransferInterrupted as error:
            raise at(error, offset) from error

    def _proven(self, offset: int, end: int | None, info: SourceInfo, now: SourceInfo) -> ClosableStream:
        """Read `[offset, end)` of a file that another server describes, once the bytes before equal those read."""
        kept = self._tail.before(offset)
        if not kept:
            raise SourceChanged(self.url.masked, describe(info), describe(now))
        start, last = offset - len(kept), "" if end is None else str(end - 1)
        answer = self._get({"Range": f"bytes={start}-{last}"} if info.resumable else {}, offset)
        stream = self._part(answer, start, end, info)
        try:
            if read_up_to(stream, len(kept)) != kept:
                raise SourceChanged(self.url.masked, describe(info), f"{describe(now)}, with other bytes")
        except BaseException:
            stream.close()
            raise
        return stream

    def _part(self, answer: Answer, offset: int, end: int | None, info: SourceInfo) -> ClosableStream:
        """Return an answer's body from `offset` of the file on."""
        try:
            start = self._check(answer, offset, info)
            last = info.size_bytes if answer.status in WHOLE else end
            stream, _ = self._stream(answer, start, last)
            skip(stream, offset - start, self.url.masked, self.settings.total_timeout_s)
        except BaseException:
            answer.wire.close()
            raise
        return stream

    def _stream(self, answer: Answer, start: int, end: int | None) -> tuple[ClosableStream, bool]:
        """Return the body, and whether an encoding of it is decoded."""
        try:
            body = body_of(answer)
        except Broken as error:
            raise TransferInterrupted(self.url.masked, start, str(error)) from error
        stream = HttpStream(answer, body, start, end, self.settings, self.url.masked)
        return decoded(stream, answer, start, self.settings, self.url.masked)

    def _check(self, answer: Answer, offset: int, info: SourceInfo) -> int:
        """Return the offset of the answer's body. Raises if it is no part of the file described by `info`.

        At the start of the file only its size counts: nothing kept could be mixed with it.
        """
        if answer.status not in (*WHOLE, 206, 412, 416):
            raise refusal(answer, self.url.masked, offset)
        now = self._described(answer)
        sizes = {info.size_bytes, now.size_bytes} - {None}
        if len(sizes) > 1 or (offset and likeness(info, now) is Likeness.OTHER):
            raise SourceChanged(self.url.masked, describe(info), describe(now))
        if answer.status in (412, 416):
            raise SourceChanged(self.url.masked, describe(info), f"without a byte {offset}")
        start = start_of(answer)
        if start not in (0, offset) or (offset and not start and not guarded(info)):
            raise SourceChanged(self.url.masked, describe(info), "not readable from the middle")
        return start

    def _described(self, answer: Answer) -> SourceInfo:
        return info_of(answer, self.url.masked, ranges=False)

    def _keep_to_one(self) -> None:
        self.connections = 1

    def _distant(self, offset: int, info: SourceInfo) -> bool:
        """Tell whether several connections are worth a trial: if much is left to fetch from a distant server."""
        if not info.resumable or info.size_bytes is None or self.connections < 2:
            return False
        if info.size_bytes - offset < 2 * range_size(info.size_bytes, self.connections):
            return False
        if self._round_trip_s is None:
            self._end_of(self.probe(), info)
        return (self._round_trip_s or 0.0) >= self.settings.parallel_round_trip_s

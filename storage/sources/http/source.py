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

LOOK = 512  # tells how a file is packed
BLOCK = 64 << 10  # a peek up to this size is over before a receive buffer of normal size would help


def open_http(url: SourceUrl, settings: Settings, credentials: Credentials, source_address: str | None) -> "HttpSource":
    """Return the source at an http(s) URL, with a bearer token or user and password where there are some."""
    given = credentials.or_url(url)
    authorize = None
    if given.token:
        authorize = with_header(f"Bearer {given.token}")
    elif given.user is not None:
        authorize = with_header(basic(given.user, given.password or ""))
    return HttpSource(url, HttpClient(settings, policy(settings, source_address), authorize, url.origin))


class HttpSource:
    """A file behind an HTTP server. Ranges are used where the server proves them.

    It is never asked with HEAD: caches, scripts and signed addresses answer that otherwise than the GET that counts, or not
    at all. The first bytes have to be looked at anyway.
    """

    def __init__(self, url: SourceUrl, client: HttpClient) -> None:
        self.url, self.client, self.settings = url, client, client.settings
        self.connections = client.settings.parallel_ranges
        self.wait_s = 0.0  # of the last request of a body, from asking to its head
        self._round_trip_s: float | None = None
        self._tail = Tail()
        self._looked = b""  # by the last probe, for the peek that follows it

    def probe(self) -> SourceInfo:
        """Ask for the first bytes; where the range is refused, for the file, and hang up after them."""
        info, self._looked = self._look(LOOK)
        return info

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes without asking for more."""
        looked, self._looked = self._looked, b""
        return looked[:size] if size <= len(looked) else self._look(size)[1]

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on; a server without ranges is read from the start and the kept part skipped."""
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
        """Ask for the file. brief: little of the body will be read."""
        return self.client.request(method, self.url, headers, brief=brief)

    def _look(self, size: int) -> tuple[SourceInfo, bytes]:
        """Return what the server says of the file, and its first `size` bytes."""
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
        """Ask for the first bytes; None where the connection breaks over it, which says nothing about ranges."""
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
        """Return the nothing behind the last byte of the file that `info` describes."""
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
        """Read `[offset, end)` of a file that another server describes, after bytes that are the same as those read before."""
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
        """Return the body of an answer from `offset` of the file on."""
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
        """Return the body, and whether an encoding of it is undone."""
        try:
            body = body_of(answer)
        except Broken as error:
            raise TransferInterrupted(self.url.masked, start, str(error)) from error
        stream = HttpStream(answer, body, start, end, self.settings, self.url.masked)
        return decoded(stream, answer, start, self.settings, self.url.masked)

    def _check(self, answer: Answer, offset: int, info: SourceInfo) -> int:
        """Return where the answer's body begins. Raises if it is no part of the file that `info` describes.

        At the start of the file only its size counts: nothing is kept that it could be mixed with.
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
        """Tell whether several connections are worth a trial: for much to fetch from a server that is not near."""
        if not info.resumable or info.size_bytes is None or self.connections < 2:
            return False
        if info.size_bytes - offset < 2 * range_size(info.size_bytes, self.connections):
            return False
        if self._round_trip_s is None:
            self._end_of(self.probe(), info)
        return (self._round_trip_s or 0.0) >= self.settings.parallel_round_trip_s

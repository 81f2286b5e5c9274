"""http:// and https:// sources."""

from contextlib import AbstractContextManager, closing

from catalog.errors import SourceChanged, TransferInterrupted
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
from storage.sources.http_body import body_of
from storage.sources.http_exchange import Answer, HttpClient, basic, refusal, with_header
from storage.sources.http_ranges import RangeStream, range_size
from storage.sources.http_stream import HttpStream, decoded
from storage.sources.http_trial import TrialStream
from storage.sources.streams import ClosableStream, EmptyStream, at, read_up_to, skip
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
        self.connections = client.settings.parallel_ranges
        self.wait_s = 0.0  # of the last request of a body, from asking to its head
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
        answer = self.request("GET", {"Range": f"bytes=0-{size - 1}"}, brief=size <= BLOCK)
        with closing(answer.wire):
            if answer.status == 416:
                return b""
            if answer.status not in (200, 206):
                raise refusal(answer, self.url.masked)
            return read_up_to(self._stream(answer, 0, None), size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on; a server without ranges is read from the start and the kept part skipped."""
        if info.size_bytes == offset:
            require_same(self.url.masked, info, self.probe())
            return closing(EmptyStream())
        if self._distant(offset, info):
            return closing(TrialStream(self, offset, info))
        return closing(self.open_one(offset, info.size_bytes, info))

    def open_one(self, offset: int, end: int | None, info: SourceInfo) -> ClosableStream:
        """Read `[offset, end)` over one connection."""
        whole = not offset and end == info.size_bytes
        headers = range_headers(offset, end, info) if info.resumable and not whole else {}
        try:
            answer = self.request("GET", headers)
        except TransferInterrupted as error:
            raise at(error, offset) from error
        self.wait_s = answer.waited_s
        try:
            start = self._check(answer, offset, info)
            stream = self._stream(answer, start, end)
            skip(stream, offset - start, self.url.masked, self.settings.total_timeout_s)
        except BaseException:
            answer.wire.close()
            raise
        return stream

    def open_parallel(self, offset: int, info: SourceInfo) -> ClosableStream:
        """Read from `offset` on over several connections."""
        return RangeStream(self.client, self.url, info, offset, self.connections)

    def request(self, method: str, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Ask for the file. brief: little of the body will be read."""
        return self.client.request(method, self.url, headers, brief=brief)

    def _stream(self, answer: Answer, start: int, end: int | None) -> ClosableStream:
        try:
            body = body_of(answer)
        except Broken as error:
            raise TransferInterrupted(self.url.masked, start, str(error)) from error
        stream = HttpStream(answer, body, start, end, self.settings, self.url.masked)
        return decoded(stream, answer, self.settings, self.url.masked)

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
        answer = self.request(method, headers, brief=True)
        answer.wire.close()
        self._round_trip_s = answer.wire.round_trip_s
        return answer

    def _distant(self, offset: int, info: SourceInfo) -> bool:
        """Tell whether several connections are worth a trial: for much to fetch from a server that is not near."""
        if not info.resumable or info.size_bytes is None or self.connections < 2:
            return False
        if info.size_bytes - offset < 2 * range_size(info.size_bytes, self.connections):
            return False
        if self._round_trip_s is None:
            require_same(self.url.masked, info, self.probe())
        return (self._round_trip_s or 0.0) >= self.settings.parallel_round_trip_s

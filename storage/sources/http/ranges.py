"""One file over several connections: small ranges fetched in parallel, returned in order, in bounded memory.

Ranges are small because bytes in flight are lost when the process dies: all of them together are below 1 % of the file,
and 32 MiB at most.
"""

import threading
import time
from collections import deque

from catalog.errors import ImagewrightError, SourceChanged, TransferInterrupted
from storage.protocols import SourceInfo
from storage.sources.http.answers import Likeness, info_of, likeness, range_headers, start_of
from storage.sources.http.body import LengthBody, body_of
from storage.sources.http.exchange import Answer, HttpClient, refusal
from storage.sources.network.stall import MinimumRate
from storage.sources.network.wire import Broken, Wire
from storage.sources.same_file import describe
from storage.sources.urls import SourceUrl

MAX_IN_FLIGHT = 32 << 20
_ATTEMPTS = 3  # of one range before the whole transfer counts as broken


class ServersDiffer(TransferInterrupted):
    """Servers behind one name describe the file differently: only a single connection is proven to continue it."""


def range_size(size_bytes: int, connections: int) -> int:
    """Return the size of one range: all in flight together stay under 0.8 % of the file, within fixed bounds."""
    fair = size_bytes // 125 // (connections + 1)
    return max(256 << 10, min(fair, MAX_IN_FLIGHT // (connections + 1)))


class Piece:
    """One range being fetched. `filled` grows from the front; guarded by the stream's condition."""

    def __init__(self, start: int, size: int) -> None:
        self.start, self.buffer = start, memoryview(bytearray(size))
        self.filled, self.taken = 0, 0
        self.error: ImagewrightError | None = None


class RangeStream:
    """Bytes of a file in order, fetched by `connections` threads."""

    def __init__(self, client: HttpClient, url: SourceUrl, info: SourceInfo, offset: int, connections: int) -> None:
        self._end = info.size_bytes or 0
        self._size = range_size(self._end, connections)
        self._next, self._limit = offset, connections + 1
        self._queue: deque[Piece] = deque()  # claimed, in order, until read
        self._returned: deque[Piece] = deque()  # given back by a connection that the server refused
        self._changed = threading.Condition()
        self._stopped = False
        self._lanes = [Lane(self, client, url, info) for _ in range(connections)]
        self._live = len(self._lanes)
        self._threads = [threading.Thread(target=lane.run, name="source-range", daemon=True) for lane in self._lanes]
        for thread in self._threads:
            thread.start()

    def readinto(self, buffer: memoryview, /) -> int:
        """Return available bytes of the first unread range."""
        with self._changed:
            piece = self._changed.wait_for(self._first)
            if not isinstance(piece, Piece):
                return 0
            if piece.filled == piece.taken and piece.error is not None:
                raise piece.error
            size = min(piece.filled - piece.taken, len(buffer))
        buffer[:size] = piece.buffer[piece.taken : piece.taken + size]
        piece.taken += size
        if piece.taken == len(piece.buffer):
            with self._changed:
                self._queue.popleft()
                self._changed.notify_all()
        return size

    def _first(self) -> "Piece | bool":
        """Return the piece to read from, True at the end, False to keep waiting."""
        if not self._queue:
            return self._next >= self._end
        piece = self._queue[0]
        return piece if piece.filled > piece.taken or piece.error is not None else False

    def claim(self) -> Piece | None:
        """Return the next range for a connection, waiting until there is room; None if nothing is left."""
        with self._changed:
            self._changed.wait_for(self._claimable)
            if self._stopped:
                return None
            if self._returned:
                return self._returned.popleft()
            if self._next >= self._end:
                return None
            piece = Piece(self._next, min(self._size, self._end - self._next))
            self._next += len(piece.buffer)
            self._queue.append(piece)
            return piece

    def _claimable(self) -> bool:
        return (
            self._stopped
            or bool(self._returned)
            or (self._next >= self._end and not self._queue)
            or (self._next < self._end and len(self._queue) < self._limit)
        )

    def arrived(self, piece: Piece, size: int) -> None:
        """Count bytes that a connection added to its range."""
        with self._changed:
            piece.filled += size
            self._changed.notify_all()

    def failed(self, piece: Piece, error: ImagewrightError) -> None:
        """Record an error, which the reader raises when it gets there."""
        with self._changed:
            piece.error = error
            self._changed.notify_all()

    def gave_up(self, piece: Piece) -> bool:
        """Take a range back from a connection that the server refuses; return False for the last connection."""
        with self._changed:
            if self._live == 1:
                return False
            self._live -= 1
            self._returned.append(piece)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Stop the connections and wait for their threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.stop()
        for thread in self._threads:
            thread.join()


class Lane:
    """One connection, kept alive from range to range."""

    def __init__(self, stream: RangeStream, client: HttpClient, url: SourceUrl, info: SourceInfo) -> None:
        self._stream, self._client, self._origin, self._info = stream, client, url, info
        self._url = url  # after redirects; the origin is requested again when this one expires
        self._wire: Wire | None = None
        self._stopping = False

    def run(self) -> None:
        """Fetch ranges until none are left."""
        while not self._stopping and (piece := self._stream.claim()) is not None:
            try:
                if not self._fetch_stubbornly(piece):
                    break
            except ImagewrightError as error:
                self._stream.failed(piece, error)
        self._drop()

    def stop(self) -> None:
        """Break the connection to end a thread that waits for bytes."""
        self._stopping = True
        if (wire := self._wire) is not None:
            wire.abort()

    def _fetch_stubbornly(self, piece: Piece) -> bool:
        """Fetch one range, resuming after a break; return False if it was given back."""
        for attempt in range(1, _ATTEMPTS + 1):
            before = piece.filled
            try:
                self._fetch(piece)
                return True
            except TransferInterrupted as error:
                self._drop()
                if error.retry_after_s is not None and self._stream.gave_up(piece):
                    return False
                if self._stopping or (attempt == _ATTEMPTS and piece.filled == before):
                    raise
        raise TransferInterrupted(self._origin.masked, piece.start + piece.filled, "it breaks again and again")

    def _fetch(self, piece: Piece) -> None:
        offset = piece.start + piece.filled
        answer = self._ask(offset, piece.start + len(piece.buffer))
        pace = MinimumRate(self._client.settings.read_timeout_s, self._client.settings.min_pace_bytes_s)
        try:
            body = body_of(answer)
            while piece.filled < len(piece.buffer):
                started = time.monotonic()
                size = body.readinto(piece.buffer[piece.filled :])
                if not size:
                    raise Broken("the server sent less than was asked for")
                pace.note(started, size)
                self._stream.arrived(piece, size)
        except Broken as error:
            raise TransferInterrupted(self._origin.masked, piece.start + piece.filled, str(error)) from error
        if answer.header("Connection").lower() == "close" or not isinstance(body, LengthBody):
            self._drop()

    def _ask(self, start: int, end: int) -> Answer:
        headers = range_headers(start, end, self._info) | {"Connection": "keep-alive"}
        answer = self._send(headers)
        self._wire, self._url = answer.wire, answer.url
        self._require_same(answer, start)
        if answer.status == 206:
            self._check(answer, start, end)
            return answer
        self._drop()
        if answer.status in (200, 412, 416):
            raise SourceChanged(self._origin.masked, describe(self._info), "not this file any more, or without ranges")
        raise refusal(answer, self._origin.masked, start)

    def _send(self, headers: dict[str, str]) -> Answer:
        """Request over the kept connection, or again from the original URL: a redirect's target may have expired."""
        wire, self._wire = self._wire, None
        if wire is not None:
            try:
                answer = self._client.request_once("GET", self._url, headers, wire)
            except TransferInterrupted:
                pass  # a server may close a kept connection at any time
            else:
                if answer.status in (200, 206):
                    return answer
                answer.wire.close()
        return self._client.request("GET", self._origin, headers)

    def _require_same(self, answer: Answer, start: int) -> None:
        """Raise SourceChanged for another file, ServersDiffer for a possible second description of the same file."""
        if answer.status not in (200, 203, 206):
            return
        masked = self._origin.masked
        now = info_of(answer, masked, ranges=True, encoded=False)
        match likeness(self._info, now):
            case Likeness.OTHER:
                raise SourceChanged(masked, describe(self._info), describe(now))
            case Likeness.DOUBTFUL:
                raise ServersDiffer(masked, start, "its servers have other ETags for the file")

    def _check(self, answer: Answer, start: int, end: int) -> None:
        if start_of(answer) != start or answer.header("Content-Length") != str(end - start):
            raise TransferInterrupted(self._origin.masked, start, "the server sent another range than was asked for")

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

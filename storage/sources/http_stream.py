"""The body of one HTTP answer as a stream, its encoding undone."""

import time

from catalog.errors import SourceForbidden, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.sources.http_answers import coding_of
from storage.sources.http_body import Body, LengthBody, Pace
from storage.sources.http_exchange import Answer
from storage.sources.unpack import UnpackedStream
from storage.sources.wire import Broken


class HttpStream:
    """The body of one answer, from `offset` to `end`, or to wherever it ends if that is None."""

    def __init__(
        self, answer: Answer, body: Body, offset: int, end: int | None, settings: Settings, masked: str
    ) -> None:
        self._last = end
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
            # Not tried again: what was kept has the announced length by now, and would pass for the whole.
            raise SourceForbidden(
                self._masked, "the server sends more bytes than the Content-Length it announced"
            )
        if self._last is not None and self._offset != self._last:
            raise Broken(f"the server stopped at byte {self._offset} of {self._last}")
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

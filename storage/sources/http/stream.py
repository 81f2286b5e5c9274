"""The body of one HTTP answer as a stream, with its encoding undone."""

import time
from collections.abc import Callable

from catalog.errors import SourceForbidden, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.sources.http.answers import coding_of
from storage.sources.http.body import Body, LengthBody
from storage.sources.http.exchange import Answer
from storage.sources.http.ranges import ServersDiffer
from storage.sources.network.stall import MinimumRate
from storage.sources.network.wire import Broken
from storage.sources.packed.decoders import HEAD_BYTES, packing_of
from storage.sources.packed.unpack import UnpackedStream
from storage.sources.streams import ClosableStream, HeadedStream, Tail, read_up_to


class HttpStream:
    """The body of one answer, from `offset` to `end`, or to its own end if that is None."""

    def __init__(
        self, answer: Answer, body: Body, offset: int, end: int | None, settings: Settings, masked: str
    ) -> None:
        self._last = end
        self._wire, self._body, self._offset, self._masked = answer.wire, body, offset, masked
        self._pace = MinimumRate(settings.read_timeout_s, settings.min_pace_bytes_s)
        self._limit = settings.max_virtual_size
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes."""
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
            # Not retried: the kept part has the announced length by now, and would pass for the whole.
            raise SourceForbidden(self._masked, "the server sends more bytes than the Content-Length it announced")
        if self._last is not None and self._offset != self._last:
            raise Broken(f"the server stopped at byte {self._offset} of {self._last}")
        self._ended = True


class RememberedStream:
    """Passes a stream on and remembers its last bytes, which prove the next connection after a break."""

    def __init__(self, stream: ClosableStream, offset: int, tail: Tail, varied: Callable[[], None]) -> None:
        """varied: called when servers behind one name turn out to describe the file differently."""
        self._stream, self._offset, self._tail, self._varied = stream, offset, tail, varied

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes."""
        try:
            size = self._stream.readinto(buffer)
        except ServersDiffer:
            self._varied()
            raise
        self._tail.note(self._offset, buffer[:size])
        self._offset += size
        return size

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def decoded(
    stream: HttpStream, answer: Answer, start: int, settings: Settings, masked: str
) -> tuple[ClosableStream, bool]:
    """Undo an unrequested Content-Encoding, under the limits of compressed sources; refuse unknown ones.

    start: offset of the body in the file. Returns the stream and whether it is decoded. Only the bytes decide this, as
    unpacked files are sometimes labelled gzip too. In the middle of a file they can't, but packed files are never
    requested by ranges.
    """
    coding = coding_of(answer)
    if not coding or (coding == "gzip" and start):
        return stream, False
    if coding != "gzip":
        raise SourceForbidden(masked, f"its server encodes it as {coding!r}, though identity was asked for")
    head = read_up_to(stream, HEAD_BYTES)
    headed = HeadedStream(head, stream)
    if packing_of(head) != "gz":
        return headed, False
    whole = bool(answer.header("Content-Length") or answer.header("Transfer-Encoding"))
    return UnpackedStream(headed, "gz", settings, masked, whole=whole), True

"""Bodies of HTTP answers: of known length, chunked, or up to the close of the connection (RFC 9112, section 6)."""

from typing import Protocol

from storage.sources.http.exchange import Answer
from storage.sources.network.wire import Broken, Wire

_EXTRA_WAIT_S = 0.5


class Body(Protocol):
    """Reads a body; `length` is None if it is not announced."""

    length: int | None

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes; 0 at the true end. Raises Broken."""
        ...


class LengthBody:
    """A body of an announced length."""

    def __init__(self, wire: Wire, length: int) -> None:
        self.length: int | None = length
        self._wire, self._left = wire, length

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes."""
        if not self._left:
            return 0
        size = self._wire.readinto(buffer[: self._left])
        if not size:
            raise Broken(f"the server closed the connection {self._left} bytes early")
        self._left -= size
        return size

    def has_more(self) -> bool:
        """Tell whether a server that was asked to close sends more bytes than it announced."""
        self._wire.set_deadline(_EXTRA_WAIT_S)
        try:
            return self._wire.readinto(memoryview(bytearray(1))) > 0
        except Broken:
            return False


class ChunkedBody:
    """A body in chunks, ended by an empty one: a cut is detected although the length is unknown."""

    def __init__(self, wire: Wire) -> None:
        self.length: int | None = None
        self._wire, self._left, self._ended = wire, 0, False

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes of the current chunk."""
        if not self._left and not self._ended:
            self._left = self._next_chunk()
            self._ended = not self._left
        if self._ended:
            return 0
        size = self._wire.readinto(buffer[: self._left])
        if not size:
            raise Broken("the server closed the connection in the middle of a chunk")
        self._left -= size
        if not self._left:
            self._expect_newline()
        return size

    def _next_chunk(self) -> int:
        text = self._wire.readline().partition(b";")[0].strip()
        if not text or len(text) > 15 or text.strip(b"0123456789abcdefABCDEF"):
            raise Broken("the server sent a chunk without a size")
        size = int(text, 16)
        while not size and self._wire.readline().strip():
            pass  # trailers
        return size

    def _expect_newline(self) -> None:
        if self._wire.readline().strip():
            raise Broken("the server sent a chunk longer than it said")


class CloseBody:
    """A body that ends with its connection: a cut looks like the end."""

    def __init__(self, wire: Wire) -> None:
        self.length: int | None = None
        self._wire = wire

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes."""
        return self._wire.readinto(buffer)


def body_of(answer: Answer) -> LengthBody | ChunkedBody | CloseBody:
    """Return the reader of an answer's body. Raises Broken for a contradictory head."""
    codings = transfer_coding_of(answer)
    if codings == "chunked":
        return ChunkedBody(answer.wire)
    if codings:
        raise Broken(f"the server sends Transfer-Encoding {codings!r}, which was not asked for")
    length = content_length(answer)
    return CloseBody(answer.wire) if length is None else LengthBody(answer.wire, length)


def transfer_coding_of(answer: Answer) -> str:
    """Return the Transfer-Encoding, empty for old servers' identity."""
    codings = ",".join(answer.headers.all("Transfer-Encoding")).lower().strip()
    return "" if codings == "identity" else codings


def content_length(answer: Answer) -> int | None:
    """Return the announced length. Raises Broken if it is no number or given twice with different values."""
    values = {part.strip() for value in answer.headers.all("Content-Length") for part in value.split(",")}
    if not values:
        return None
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise Broken("the server announces no sensible Content-Length")
    return int(value)

"""Small streams, and functions for any stream."""

import time
from typing import Protocol, runtime_checkable

from catalog.errors import TransferInterrupted, TransferTooLong
from storage.protocols import Source, SourceStream


class ClosableStream(SourceStream, Protocol):
    """A stream that can release its connection or file."""

    def close(self) -> None:
        """Release it. Safe to repeat."""
        ...


@runtime_checkable
class PeekableSource(Source, Protocol):
    """A source whose first bytes can be read without moving more than these."""

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes."""
        ...


TAIL_BYTES = 16 << 10
_TELLING = 32  # different byte values; with fewer, a tail could belong to any file


class Tail:
    """The last bytes read of a file, which prove that another server continues the same one."""

    def __init__(self) -> None:
        self._bytes, self._end = b"", 0

    def note(self, offset: int, piece: memoryview) -> None:
        """Take bytes that were read at `offset`."""
        before = self._bytes if offset == self._end and len(piece) < TAIL_BYTES else b""
        self._bytes = (before + bytes(piece[-TAIL_BYTES:]))[-TAIL_BYTES:]
        self._end = offset + len(piece)

    def before(self, offset: int) -> bytes:
        """Return the bytes read right before `offset`; empty if they would prove nothing, as zeros do."""
        known = offset == self._end and (len(self._bytes) == TAIL_BYTES or len(self._bytes) == offset)
        return self._bytes if known and len(set(self._bytes)) >= _TELLING else b""


class HeadedStream:
    """A stream whose first bytes were already read."""

    def __init__(self, head: bytes, rest: ClosableStream) -> None:
        self._head, self._rest = memoryview(head), rest

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes."""
        if not self._head:
            return self._rest.readinto(buffer)
        size = min(len(self._head), len(buffer))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size

    def close(self) -> None:
        """Close the rest."""
        self._rest.close()


class EmptyStream:
    """The rest of a file that was already read to its end."""

    def readinto(self, _buffer: memoryview, /) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def skip(stream: SourceStream, size: int, masked: str, within_s: float = 0) -> None:
    """Read and drop `size` bytes. Raises TransferInterrupted if there are fewer.

    within_s: 0 for no limit; beyond it TransferTooLong is raised.
    """
    left, scrap, began = size, memoryview(bytearray(min(size, 1 << 20))), time.monotonic()
    while left:
        if within_s and time.monotonic() - began >= within_s:
            raise TransferTooLong(masked, size - left, within_s)
        taken = stream.readinto(scrap[:left])
        if not taken:
            raise TransferInterrupted(masked, size - left, "it has fewer bytes than before")
        left -= taken


def read_up_to(stream: SourceStream, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end."""
    buffer, filled = memoryview(bytearray(size)), 0
    while filled < size and (taken := stream.readinto(buffer[filled:])):
        filled += taken
    return bytes(buffer[:filled])


def at(error: TransferInterrupted, offset: int) -> TransferInterrupted:
    """Return `error` with `offset` of the file, for a break before the first byte."""
    return TransferInterrupted(error.url, offset, error.reason, error.retry_after_s)

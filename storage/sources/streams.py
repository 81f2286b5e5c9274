"""Small streams and what works on any stream."""

from typing import Protocol

from catalog.errors import TransferInterrupted
from storage.protocols import SourceStream


class ClosableStream(SourceStream, Protocol):
    """A stream that lets go of its connection or file."""

    def close(self) -> None:
        """Let go. Safe to repeat."""
        ...


class EmptyStream:
    """The rest of a file that was already read to its end."""

    def readinto(self, _buffer: memoryview, /) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """Hold nothing, so do nothing."""


def skip(stream: SourceStream, size: int, masked: str) -> None:
    """Read and drop `size` bytes. Raises TransferInterrupted if there are fewer."""
    left, scrap = size, memoryview(bytearray(min(size, 1 << 20)))
    while left:
        taken = stream.readinto(scrap[:left])
        if not taken:
            raise TransferInterrupted(masked, size - left, "it has fewer bytes than before")
        left -= taken

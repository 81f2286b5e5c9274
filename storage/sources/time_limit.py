"""A limit on the time of a whole transfer: it also ends a server that sends just above the minimum rate."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing

from catalog.errors import TransferTooLong
from storage.protocols import SourceInfo, SourceStream
from storage.sources.streams import PeekableSource


class TimedSource:
    """Wraps a source that must be read within `limit_s` seconds of the first `open`, including all later ones."""

    def __init__(
        self, source: PeekableSource, limit_s: float, masked: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.probe, self.peek = source.probe, source.peek  # bounded by the timeouts of a connection
        self._source, self._limit_s, self._masked, self._clock = source, limit_s, masked, clock
        self._ends: float | None = None

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on. Raises TransferTooLong once the time is up, even in the middle of reading."""
        if self._ends is None:
            self._ends = self._clock() + self._limit_s
        self.check(offset)
        return closing(_TimedStream(self._source.open(offset, info), self, offset))

    def check(self, offset: int) -> None:
        """Raise TransferTooLong once the time is up."""
        if self._ends is not None and self._clock() >= self._ends:
            raise TransferTooLong(self._masked, offset, self._limit_s)


class _TimedStream:
    def __init__(self, opened: AbstractContextManager[SourceStream], source: TimedSource, offset: int) -> None:
        self._open = ExitStack()
        self._stream, self._source, self._offset = self._open.enter_context(opened), source, offset

    def readinto(self, buffer: memoryview, /) -> int:
        self._source.check(self._offset)
        size = self._stream.readinto(buffer)
        self._offset += size
        return size

    def close(self) -> None:
        self._open.close()


def timed(source: PeekableSource, limit_s: float, masked: str) -> PeekableSource:
    """Return the source under a time limit. limit_s: 0 for none."""
    return TimedSource(source, limit_s, masked) if limit_s else source

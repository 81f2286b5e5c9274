"""A trial of whether several connections pay, on the first megabytes of the transfer itself.

Ranges must be small (bytes in flight are lost with the process), so each costs a round trip: four connections are
slower than one that the line does not slow down. 128 MiB through a delaying proxy: at 10 ms per request one unlimited
connection 162 MB/s, four 68; at 25 ms one limited by the server 15 MB/s, four 25.
"""

import time
from typing import Protocol

from storage.protocols import SourceInfo
from storage.sources.http.ranges import range_size
from storage.sources.streams import ClosableStream

TRIAL_BYTES = 8 << 20
_WORTH = 1.2  # times faster, below which one connection is kept


class Opener(Protocol):
    """Opens a part over one connection, or the rest over several."""

    connections: int
    wait_s: float  # of the last request over one connection, until its head

    def open_one(self, offset: int, end: int | None, info: SourceInfo) -> ClosableStream:
        """Read `[offset, end)` over one connection."""
        ...

    def open_parallel(self, offset: int, info: SourceInfo) -> ClosableStream:
        """Read from `offset` on over several connections."""
        ...


def parallel_pays(rate_bytes_s: float, wait_s: float, connections: int, range_bytes: int) -> bool:
    """Predict whether `connections` beat one.

    rate_bytes_s: of one established connection; wait_s: from requesting a range to its first byte.
    """
    one_range_s = wait_s + range_bytes / rate_bytes_s
    return connections * range_bytes / one_range_s > _WORTH * rate_bytes_s


class TrialStream:
    """Bytes in order: a trial part over one connection, the rest over the better number."""

    def __init__(self, opener: Opener, offset: int, info: SourceInfo) -> None:
        self._opener, self._info, self._offset = opener, info, offset
        self._size = info.size_bytes or 0
        trial = min(TRIAL_BYTES, (self._size - offset) // 8)
        self._end, self._middle = offset + trial, offset + trial // 2
        self._stream = opener.open_one(offset, self._end, info)
        self._timed_bytes, self._timed_s = 0, 0.0  # from the middle on, when the connection is at full speed

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes."""
        started = time.monotonic()
        size = self._stream.readinto(buffer)
        if self._offset >= self._middle and size:
            self._timed_bytes += size
            self._timed_s += time.monotonic() - started
        self._offset += size
        if size or self._end == self._size or self._offset >= self._size:
            return size
        self._go_on()
        return self._stream.readinto(buffer)

    def close(self) -> None:
        """Close the connections."""
        self._stream.close()

    def _go_on(self) -> None:
        """Open the rest in the way that was faster in the trial."""
        self._stream.close()
        self._end = self._size
        rate = self._timed_bytes / max(self._timed_s, 1e-6)
        connections = self._opener.connections
        if parallel_pays(max(rate, 1.0), self._opener.wait_s, connections, range_size(self._size, connections)):
            self._stream = self._opener.open_parallel(self._offset, self._info)
        else:
            self._stream = self._opener.open_one(self._offset, self._size, self._info)

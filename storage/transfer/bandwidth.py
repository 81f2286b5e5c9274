"""Rate limits of reading: caps of one process, and caps shared by several."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from catalog.repository.bandwidth import Slice

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


BURSTS_A_SECOND = 8  # bursts per second of a cap: more would cost threads and small writes
SMALLEST_BURST = 16 << 10
ENDLESS = 1 << 62
LOOK_EVERY_S = 1.0
"""How often an uncapped transfer checks whether it has been given a cap."""


class Pace(Protocol):
    """Limits the rate of a transfer. Thread-safe."""

    @property
    def burst_bytes(self) -> int:
        """Return how many bytes to read at once for an even flow."""
        ...

    def spend(self, count: int) -> None:
        """Wait until `count` more bytes are within the cap."""
        ...


def burst_of(bytes_s: int) -> int:
    """Return the burst for a cap."""
    return max(SMALLEST_BURST, bytes_s // BURSTS_A_SECOND)


class SteadyPace:
    """An unshared cap, in bytes per second."""

    def __init__(self, bytes_s: int) -> None:
        self.burst_bytes = burst_of(bytes_s)
        self._rate, self._free_at, self._lock = bytes_s, time.monotonic(), Lock()

    def spend(self, count: int) -> None:
        """Wait until `count` more bytes are within the cap."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            pause = self._free_at - now
        time.sleep(pause)


class SharedPace:
    """A cap shared with other processes, taken slice by slice.

    ask: takes the next slice of `slice_s` seconds; None if there is no cap at present.
    """

    def __init__(self, ask: Callable[[float], Slice | None], slice_s: float = 0.25) -> None:
        self.burst_bytes = ENDLESS
        self._ask, self._slice_s, self._lock = ask, slice_s, Lock()
        self._left, self._free_until = 0, 0.0
        self._take()  # the first burst must already have the right size

    def spend(self, count: int) -> None:
        """Wait until `count` bytes are within the slices taken."""
        if time.monotonic() < self._free_until:
            return
        with self._lock:
            while self._left < count:
                if not self._take():
                    return
            self._left -= count

    def _take(self) -> bool:
        """Take a slice and wait for it; return False if there is no cap."""
        granted = self._ask(self._slice_s)
        if granted is None:
            self.burst_bytes, self._left = ENDLESS, 0
            self._free_until = time.monotonic() + LOOK_EVERY_S
            return False
        self.burst_bytes = burst_of(int(granted.size_bytes / self._slice_s))
        time.sleep(granted.wait_s)
        self._left += granted.size_bytes
        return True


class AllPaces:
    """Several caps at once: the lowest one applies."""

    def __init__(self, paces: Sequence[Pace]) -> None:
        self._paces = tuple(paces)

    @property
    def burst_bytes(self) -> int:
        """Return the smallest burst of all."""
        return min((pace.burst_bytes for pace in self._paces), default=ENDLESS)

    def spend(self, count: int) -> None:
        """Wait for each cap."""
        for pace in self._paces:
            pace.spend(count)


def pace_into(catalog: "Catalog", storages: Sequence[str], bandwidth_bytes_s: int = 0) -> Pace:
    """Return the pace of one transfer into image storages, by name; it queries the open catalog as bytes arrive.

    bandwidth_bytes_s: an additional cap of this transfer; 0: none. The first slice is taken, and waited for, at once.
    """
    shared: list[Pace] = [SharedPace(partial(catalog.next_slice, name)) for name in storages]
    return AllPaces([*shared, SteadyPace(bandwidth_bytes_s)] if bandwidth_bytes_s else shared)

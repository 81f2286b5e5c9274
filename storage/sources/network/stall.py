"""The minimum rate below which a connection counts as stalled."""

import time

from storage.sources.network.wire import Broken


class MinimumRate:
    """Refuses a server that keeps the connection open but hardly sends; only time spent waiting for it counts."""

    def __init__(self, window_s: float, min_bytes_s: int) -> None:
        self._window_s, self._min_bytes = window_s, int(window_s * min_bytes_s)
        self._waited_s, self._bytes = 0.0, 0

    def note(self, started: float, size: int) -> None:
        """Count a read that began at monotonic time `started`. Raises Broken below the minimum rate."""
        self._waited_s += time.monotonic() - started
        self._bytes += size
        if self._waited_s < self._window_s:
            return
        if self._bytes < self._min_bytes:
            raise Broken(f"only {self._bytes} bytes came in {self._waited_s:.0f} s")
        self._waited_s, self._bytes = 0.0, 0

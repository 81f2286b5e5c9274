"""How many requests an identity may make: a bucket each, that fills as fast as they may be made."""

import math
import time
from collections.abc import Callable

from catalog.errors import TooManyRequests

MINUTE_S = 60.0
IDENTITIES = 10_000
"""Buckets that are remembered; of more, the one that was used longest ago is forgotten, which is a full one."""


class Rates:
    """The buckets of one process. per_minute: what a bucket holds, and what flows into it in a minute; 0: no limit."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._now = per_minute, now
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> None:
        """Count a request of an identity. Raises TooManyRequests."""
        if not self._per_minute:
            return
        now = self._now()
        left, since = self._left.pop(name, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / MINUTE_S)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > IDENTITIES:
            del self._left[next(iter(self._left))]
        if left < 1:
            raise TooManyRequests(name, self._per_minute, math.ceil((1 - left) * MINUTE_S / self._per_minute))

"""Limit the requests of each identity by a token bucket."""

import math
import time
from collections.abc import Callable

from catalog.errors import TooManyRequests

MINUTE_S = 60.0
IDENTITIES = 10_000
"""Most buckets remembered; past this the least recently used one, a full one, is forgotten."""


class Rates:
    """The buckets of one process. per_minute: capacity of a bucket, and its refill per minute; 0: no limit."""

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

"""Whether the bytes come slowly enough to compress them better: a download usually does, a local file never."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

WEIGHT = 0.2  # of the newest block in the running average
SPARE = 2.0  # waiting must take so many times as long as working: MD5 alone makes everybody wait a little


class Pace:
    """Compares the time spent waiting for blocks with the time spent on them.

    It corrects itself: compressing better takes longer, and is left off once nobody waits any more.
    """

    def __init__(self) -> None:
        self._left = monotonic()
        self._waiting = 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Surround the work on one block."""
        began = monotonic()
        waited = began - self._left
        yield
        self._left = monotonic()
        slow = waited > SPARE * (self._left - began)
        self._waiting += WEIGHT * (slow - self._waiting)

    @property
    def leisurely(self) -> bool:
        """Tell whether most of the last blocks were waited for."""
        return self._waiting > 0.5

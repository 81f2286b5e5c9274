"""Report the progress of a transfer to callers, and show it on a terminal as one line with rate and time left."""

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from catalog.units import readable

Moved = Callable[[int, int | None, str], None]
"""Called with the bytes done, the total (None: unknown), and the step."""
SHOWN_EACH_S = 0.2
MEASURED_S = 10.0
"""Seconds over which a rate is measured, so that it follows a change of speed."""
ERASED = "\r\x1b[K"


def nobody(*_told: object) -> None:
    """Ignore the progress."""


class ProgressLine:
    """A line on a terminal, rewritten as bytes arrive."""

    def __init__(self, terminal: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._seen: deque[tuple[float, int]] = deque()
        self._shown_at = float("-inf")
        self._step = ""

    def __call__(self, done: int, total: int | None, step: str) -> None:
        """Show the progress, unless it was shown just now."""
        now = self._clock()
        if step != self._step:
            self._step, self._shown_at = step, float("-inf")
            self._seen.clear()
        self._seen.append((now, done))
        while self._seen[-1][0] - self._seen[0][0] > MEASURED_S:
            self._seen.popleft()
        if now - self._shown_at >= SHOWN_EACH_S:
            self._shown_at = now
            self._terminal.write(f"{ERASED}{line(step, done, total, self._rate())}")
            self._terminal.flush()

    def say(self, words: str) -> None:
        """Show a step that counts no bytes."""
        self._terminal.write(f"{ERASED}{words}")
        self._terminal.flush()

    def end(self) -> None:
        """Erase the line."""
        self._terminal.write(ERASED)
        self._terminal.flush()

    def _rate(self) -> float:
        """Return the recent bytes per second, 0 if not known yet."""
        (begun, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - begun) if now - begun >= SHOWN_EACH_S else 0.0


def line(step: str, done: int, total: int | None, rate: float) -> str:
    """Return the text of the line. rate: bytes per second, 0 if unknown."""
    of = "" if total is None else f" of {readable(total)} ({100 * done // max(total, 1)} %)"
    pace = f", {readable(round(rate))}/s" if rate else ""
    left = f", {duration((total - done) / rate)} left" if rate and total is not None and total > done else ""
    return f"{step}: {readable(done)}{of}{pace}{left}"


def duration(seconds: float) -> str:
    """Return a duration for people: 0:07, 12:30, 3:04:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

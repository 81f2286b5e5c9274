"""Cache costly measurements, made in a background thread, so that no request waits for something unavailable."""

import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from catalog.errors import ImagewrightError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
LATE_S = 20.0
"""A measurement that takes longer counts as trouble, even if an older value is known."""
REST = 10
"""Pause between two measurements, in durations of one: measuring never costs more than a tenth of a core."""


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """The last value, None before the first one; its age in seconds; why the last measurement failed, else ""."""

    value: T_co | None
    age_s: float
    trouble: str


class Remembered(Generic[T]):
    """A measurement that is repeated, in a thread of its own, when it is requested and older than `fresh_s`."""

    def __init__(self, measure: Callable[[], T], fresh_s: float) -> None:
        self._measure, self._fresh_s, self._lock = measure, fresh_s, Lock()
        self._value: T | None = None
        self._trouble, self._made_at, self._due_at, self._begun_at = "", 0.0, 0.0, 0.0
        self._running: Event | None = None

    @property
    def asked(self) -> bool:
        """Tell whether a measurement has ended before, so that later requests need not wait."""
        return self._due_at > 0

    def known(self, wait_s: float) -> Known[T]:
        """Return the last measurement. wait_s: longest wait for one in progress."""
        with self._lock:
            if self._running is None and time.monotonic() >= self._due_at:
                self._running, self._begun_at = Event(), time.monotonic()
                Thread(target=copy_context().run, args=(self._look,), daemon=True).start()
            running = self._running
        silent = running is not None and not running.wait(wait_s)
        return Known(self._value, self._age(), self._trouble or (self._silence() if silent else ""))

    def _silence(self) -> str:
        """Return a sentence if the measurement in progress takes too long; a repeated one may take a while."""
        waited = time.monotonic() - self._begun_at
        return f"it has not answered for {waited:.0f} s" if waited > LATE_S or not self.asked else ""

    def _age(self) -> float:
        return time.monotonic() - self._made_at if self._made_at else 0.0

    def _look(self) -> None:
        begun, trouble = time.monotonic(), ""
        try:
            self._value = self._measure()
            self._made_at = time.monotonic()
        except ImagewrightError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001  # a defect is told where the figure would be, and looked for again
            trouble = f"{type(error).__name__}: {error}"
        took = time.monotonic() - begun
        with self._lock:
            self._trouble = trouble
            self._due_at = time.monotonic() + max(self._fresh_s, REST * took)
            running, self._running = self._running, None
        if running is not None:
            running.set()

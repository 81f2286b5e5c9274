"""The warning on every page that dead runs are not being recovered, checked in the background so that no page waits."""

import time
from contextvars import copy_context
from threading import Lock, Thread

from flows.registry import row_of
from flows.requests import RecoverRuns
from tasks.upkeep.overdue import recovery_overdue

FRESH_S = 60.0


class Overdue:
    """Caches the last answer and asks again, in a thread of its own, when it is older than a minute."""

    def __init__(self) -> None:
        self._lock, self._due_at, self._sentence = Lock(), 0.0, ""

    def __call__(self) -> str:
        """Return the sentence to show, "" for none."""
        with self._lock:
            if time.monotonic() >= self._due_at:
                self._due_at = time.monotonic() + FRESH_S
                Thread(target=copy_context().run, args=(self._ask,), daemon=True).start()
        return self._sentence

    def _ask(self) -> None:
        self._sentence = recovery_overdue(row_of(RecoverRuns).deployment) or ""

"""Garbage of the Prefect server is collected in a thread of its own, never in the one that its event loop runs in.

Python collects in whichever thread happens to allocate. A forgotten cursor of SQLite is reset when it is collected, and that waits for its
connection, which another task may be using to wait for the database's one writer, for a minute at most (Prefect's busy_timeout). In
the loop's thread that stopped the very task that was to commit: all who wrote failed with "database is locked" a minute later.
"""

import gc
import time
from threading import Thread

INTERVAL_S, WHOLE_EVERY = 0.5, 40
"""How often the young are looked through, and every how many times all that is there."""


def collect_elsewhere() -> None:
    """Collect in a thread from here on, as long as the process lives."""
    gc.disable()
    Thread(target=_collect, daemon=True, name="garbage").start()


def _collect() -> None:
    times = 0
    while True:
        time.sleep(INTERVAL_S)
        times += 1
        gc.collect(1 if times % WHOLE_EVERY else 2)

"""Collect the Prefect server's garbage in a thread of its own, never in the event loop's thread.

Python collects in whichever thread happens to allocate. Collecting an abandoned SQLite cursor resets it, which waits
for its connection, and another task may be using that to wait for the database's one writer, for up to a minute
(Prefect's busy_timeout). In the loop's thread this blocked the very task that was to commit: all writers failed with
"database is locked" a minute later.
"""

import gc
import time
from threading import Thread

INTERVAL_S, WHOLE_EVERY = 0.5, 40
"""Seconds between collections of the young generations, and the number of them per full collection."""


def collect_elsewhere() -> None:
    """Collect in a thread from now on, for the life of the process.

    What lives after the first full collection, the server's code above all, is never looked at again: looking at it
    each time was most of what an idle server did.
    """
    gc.disable()
    Thread(target=_collect, daemon=True, name="garbage").start()


def _collect() -> None:
    times = 0
    while True:
        time.sleep(INTERVAL_S)
        times += 1
        gc.collect(1 if times % WHOLE_EVERY else 2)
        if times == WHOLE_EVERY:
            gc.freeze()

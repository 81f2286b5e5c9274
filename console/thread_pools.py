"""Bounded thread pools for work that waits for other systems, so that it never blocks work that doesn't.

Starlette has one pool for everything, the style sheet included: 40 plans for a source that never answered exhausted it.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from catalog.errors import ImagewrightError

P = ParamSpec("P")
T = TypeVar("T")


class TookTooLong(ImagewrightError):
    """The request waited too long for something that does not answer, or for other waiting requests."""

    retryable = True

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} {reason}; try again later")


class Waiting:
    """A pool of threads. A call longer than `limit_s` is given up; its thread is free once the call ends by itself."""

    def __init__(self, what: str, threads: int, queue: int, limit_s: float) -> None:
        """Create the pool without threads.

        what: the work, as the subject of a sentence. threads: most at once; queue: most calls that wait for one.
        """
        self._what, self._limit_s, self._most = what, limit_s, threads + queue
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=what.replace(" ", "-"))
        self._asked = 0

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread and return its result. Raises its errors, or TookTooLong."""
        if self._asked >= self._most:
            raise TookTooLong(self._what, f"waits for others, as {self._asked} more do")
        called = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
        self._asked += 1
        try:
            done = asyncio.get_running_loop().run_in_executor(self._pool, called)
            return await asyncio.wait_for(done, self._limit_s)
        except TimeoutError as error:
            raise TookTooLong(self._what, f"did not end within {self._limit_s:g} s") from error
        finally:
            self._asked -= 1


plans = Waiting("the plan", threads=8, queue=32, limit_s=20)
"""For calls of sources and storages."""
rooms = Waiting("the check of the storages", threads=8, queue=32, limit_s=20)
"""For checks of a storage's room before an upload."""
catalogs = Waiting("the catalog", threads=16, queue=500, limit_s=20)
"""For queries of the catalog, an SQLite file or a server."""
passwords = Waiting("the sign-in", threads=2, queue=64, limit_s=20)
"""For password hashing: 64 MiB and a tenth of a second of a core each."""
stores = Waiting("the image storage", threads=8, queue=200, limit_s=120)
"""For reading and writing a store's objects for another site."""

"""Retry calls to a remote store that fail briefly, with jitter; the last failure is raised as our error."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from catalog.errors import StorageError, StorageUnavailable

T = TypeVar("T")
A = TypeVar("A")
ATTEMPTS = 6
FIRST_DELAY_S = 0.2
AT_ONCE = 8


def retried(call: Callable[[], T], translated: Callable[[Exception], StorageError]) -> T:
    """Return the result of `call`. translated: turns a library error into ours; StorageUnavailable is retried.

    Raises StorageError: as it was raised, or as it was translated.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except StorageError as error:
            failure = error
            if not isinstance(error, StorageUnavailable) or attempt == ATTEMPTS - 1:
                raise
        except Exception as error:
            failure = translated(error)
            if not isinstance(failure, StorageUnavailable) or attempt == ATTEMPTS - 1:
                raise failure from error
        time.sleep(random.uniform(0.5, 1.5) * FIRST_DELAY_S * 2**attempt)  # noqa: S311  # jitter, not a secret
    raise AssertionError("the last attempt returns or raises")


def in_parallel(call: Callable[[A], T], arguments: Sequence[A]) -> Iterator[T]:
    """Yield the results in order, running a few calls at once."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects") as pool:
        yield from pool.map(call, arguments)

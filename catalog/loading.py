"""Import hundreds of modules with the garbage collector off, which would otherwise scan everything again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading(*, for_good: bool = False) -> Iterator[None]:
    """Turn garbage collection off for imports within the block; it took a third of the time to load Prefect's server.

    for_good: freeze everything that exists at the end, so that it is never collected or scanned. For our own processes
    only: in somebody else's, their garbage would stay too.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if for_good:
            gc.freeze()
        if was_on:
            gc.enable()

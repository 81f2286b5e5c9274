"""Loading hundreds of modules: without the collector, which would look through all that is there again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading(*, for_good: bool = False) -> Iterator[None]:
    """Import within the block: a third of the time of loading Prefect's server was the collector's.

    for_good: what is there at the end stays as long as the process, and is never looked through again. For processes of our
    own only: in somebody else's, garbage of theirs would stay as well.
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

"""Return unused memory to the system: glibc keeps what many threads freed for other threads."""

import ctypes
from functools import cache


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def give_back() -> None:
    """Return freed memory; does nothing if the system's C library has no such call."""
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)

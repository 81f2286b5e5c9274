"""Large bytes that tests send and compare: made when a test first asks for them, and let go of when others are asked for."""

from collections.abc import Callable
from functools import lru_cache, wraps
from random import Random

PIECE = 1 << 20


def payload(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Have a function's bytes made on demand; a process keeps those of the two functions that were called last.

    The function returns the same bytes each time: they may be made again within one test.
    """

    @wraps(make)
    def kept() -> bytes:
        return _made(make)

    return kept


def random_bytes(size: int, seed: int = 1) -> bytes:
    """Return `Random(seed).randbytes(size)` without the integer of that size, and copies of it, on the way."""
    chance, made = Random(seed), bytearray()
    for start in range(0, size, PIECE):
        made += chance.randbytes(min(PIECE, size - start))
    return bytes(made)


@lru_cache(maxsize=2)
def _made(make: Callable[[], bytes]) -> bytes:
    return make()

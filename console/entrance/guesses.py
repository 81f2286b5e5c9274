"""Limit guesses of the operators' password: an address that tries many wrong ones has to wait.

Only different passwords count: a page left open repeats an old one every two seconds, which is no guessing.
"""

import hashlib
import math
import secrets
import time
from collections.abc import Callable

from catalog.errors import SignInLimited
from catalog.rules.accounts.sign_in import MOST, WINDOW

ADDRESSES = 10_000
"""Most addresses remembered; past this the one that began first is forgotten."""
WRONG = MOST["address"]


class Guesses:
    """Wrong passwords of the last quarter of an hour, by address. now: a monotonic clock, seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._salt = now, secrets.token_bytes(16)
        self._tried: dict[str, tuple[float, set[bytes]]] = {}

    def check(self, address: str) -> None:
        """Raise SignInLimited if an address has tried too many passwords, even if the present one is right."""
        since, tried = self._tried.get(address, (0.0, set[bytes]()))
        left = since + WINDOW.total_seconds() - self._now()
        if len(tried) >= WRONG and left > 0:
            raise SignInLimited(max(1, math.ceil(left)))

    def note(self, address: str, guess: str) -> bool:
        """Record a wrong password; tell whether it is the one after which the address has to wait."""
        since, tried = self._tried.pop(address, (self._now(), set[bytes]()))
        if since + WINDOW.total_seconds() <= self._now():
            since, tried = self._now(), set()
        before = len(tried)
        if before < WRONG:
            tried.add(hashlib.sha256(self._salt + guess.encode(errors="replace")).digest())
        self._tried[address] = (since, tried)
        while len(self._tried) > ADDRESSES:
            del self._tried[next(iter(self._tried))]
        return before < WRONG == len(tried)

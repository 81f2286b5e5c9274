"""Wrong passwords of the operators, counted by address: somebody who tries many is told to wait.

Only different ones count: a page that was left open repeats an old password every two seconds and guesses nothing.
"""

import hashlib
import math
import secrets
import time
from collections.abc import Callable

from catalog.errors import SignInLimited
from catalog.rules.accounts.sign_in import MOST, WINDOW

ADDRESSES = 10_000
"""Addresses that are remembered; past this many the one that began first is forgotten."""
WRONG = MOST["address"]


class Guesses:
    """What was tried in the last quarter of an hour. now: seconds of a clock that only goes on."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._salt = now, secrets.token_bytes(16)
        self._tried: dict[str, tuple[float, set[bytes]]] = {}

    def check(self, address: str) -> None:
        """Raise SignInLimited where an address has tried too many: it is told so for the right one, too."""
        since, tried = self._tried.get(address, (0.0, set[bytes]()))
        left = since + WINDOW.total_seconds() - self._now()
        if len(tried) >= WRONG and left > 0:
            raise SignInLimited(max(1, math.ceil(left)))

    def note(self, address: str, guess: str) -> bool:
        """Remember a wrong one; tell whether it is the one after which the address has to wait."""
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

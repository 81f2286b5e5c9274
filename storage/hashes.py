"""Hash algorithms of digests and checksums, by name."""

import hashlib
from typing import Protocol


class Hash(Protocol):
    """The interface of hashlib's objects."""

    def update(self, data: memoryview, /) -> object:
        """Take the next bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""
        ...


def new_hash(algorithm: str) -> Hash:
    """Return a hash for any algorithm of `catalog.rules.images.checksums.DIGITS`."""
    if algorithm == "blake3":
        from blake3 import blake3

        return blake3()
    return hashlib.new(algorithm, usedforsecurity=False)

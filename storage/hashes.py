"""The algorithms of digests and checksums, by their names."""

import hashlib
from typing import Protocol


class Hash(Protocol):
    """What hashlib's objects do."""

    def update(self, data: memoryview, /) -> object:
        """Take the next bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""
        ...


def new_hash(algorithm: str) -> Hash:
    """Return a hash of any of `catalog.rules.images.checksums.DIGITS`."""
    if algorithm == "blake3":
        from blake3 import blake3

        return blake3()
    return hashlib.new(algorithm, usedforsecurity=False)

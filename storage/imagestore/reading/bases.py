"""The plain bytes of chains' bases, with the most recent ones cached."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np

from catalog.errors import DigestMismatch
from storage.imagestore.format.codec import DIGEST_BYTES, LARGEST_PREFIX, Payload
from storage.imagestore.format.index import U1

KEPT_BYTES = 32 << 20  # neighbouring chains lean on the same bases or adjacent ones


class Bases:
    """Returns the prefixes of chains. read: returns chips by their digests (n, 32), proven. Thread-safe."""

    def __init__(self, read: Callable[[U1], Sequence[Payload]]) -> None:
        self._read = read
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = Lock()

    def prefix(self, listed: bytes) -> bytes:
        """Return the plain bytes of these chips, 32 bytes per digest, joined. Raises DigestMismatch, ObjectMissing."""
        digests = [listed[at : at + DIGEST_BYTES] for at in range(0, len(listed), DIGEST_BYTES)]
        with self._lock:
            found = {digest: self._kept[digest] for digest in digests if digest in self._kept}
        lacking = [digest for digest in dict.fromkeys(digests) if digest not in found]
        if lacking:
            rows = np.frombuffer(b"".join(lacking), np.uint8).reshape(-1, DIGEST_BYTES)
            found.update(zip(lacking, map(bytes, self._read(rows)), strict=True))
            self._keep(found)
        size = sum(len(found[digest]) for digest in digests)
        if size > LARGEST_PREFIX:
            raise DigestMismatch("what a chain leans on", f"{LARGEST_PREFIX} bytes at most", f"{size} bytes")
        return b"".join(found[digest] for digest in digests)

    def _keep(self, chips: dict[bytes, bytes]) -> None:
        with self._lock:
            for digest, chip in chips.items():
                if digest not in self._kept:
                    self._kept_bytes += len(chip)
                self._kept[digest] = chip
                self._kept.move_to_end(digest)
            while self._kept_bytes > KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])

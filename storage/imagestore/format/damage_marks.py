"""Marks of damaged chips: `damaged/<digest>`. An add of the same bytes stores them again, which heals every image."""

import numpy as np

from storage.imagestore.format import names
from storage.imagestore.format.index import U1, U8
from storage.protocols import ObjectStore

PREFIX = "damaged/"


def mark(objects: ObjectStore, digest: bytes) -> None:
    """Mark a chip as damaged."""
    objects.put(f"{PREFIX}{digest.hex()}", b"")


def clear(objects: ObjectStore, digest: bytes) -> None:
    """Clear the mark of a chip."""
    objects.delete(f"{PREFIX}{digest.hex()}")


def clear_stored_again(objects: ObjectStore, digests: U1) -> None:
    """Clear the marks of those chips, shape (n, 32), that were damaged."""
    if marks := marked(objects):
        stored = {digest.tobytes() for digest in digests}
        for digest in marks:
            if digest in stored:
                clear(objects, digest)


def marked(objects: ObjectStore) -> list[bytes]:
    """Return the digests of damaged chips, sorted."""
    return [bytes.fromhex(info.name.removeprefix(PREFIX)) for info in names.listed(objects, PREFIX, names.DIGEST)]


def keys(objects: ObjectStore) -> U8:
    """Return the sorted keys of damaged chips."""
    return np.array([int.from_bytes(d[:8], "big") for d in marked(objects)], dtype=np.uint64)

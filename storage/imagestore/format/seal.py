"""The seal of a small object: it ends in the BLAKE3 of everything before it, 32 bytes, and is proven whenever it is read."""

import logging

from blake3 import blake3

from catalog.errors import DigestMismatch, ObjectMissing
from storage.protocols import ObjectStore

LOG = logging.getLogger(__name__)
SEAL_BYTES = 32


def sealed(body: bytes) -> bytes:
    """Return the body and its seal."""
    return body + blake3(body).digest()


def unsealed(where: str, data: bytes | memoryview, least_bytes: int = 0) -> memoryview:
    """Return the body, proven, without copying it. where: names the object; least_bytes: of a body that can be read.

    Raises DigestMismatch.
    """
    view = memoryview(data)
    body, seal = view[:-SEAL_BYTES], view[-SEAL_BYTES:]
    actual = blake3(body).digest()
    if actual != seal or len(body) < least_bytes:
        raise DigestMismatch(where, bytes(seal).hex(), actual.hex())
    return body


def read_if_whole(objects: ObjectStore, name: str, least_bytes: int, otherwise: str) -> memoryview | None:
    """Return the body of an object that can be done without, proven; None where there is none, or it is damaged.

    least_bytes: of a body that can be read. otherwise: what is done without it, for the log.
    """
    where = f"{objects.location}/{name}"
    try:
        return unsealed(where, objects.get(name), least_bytes)
    except ObjectMissing:
        return None
    except DigestMismatch:
        LOG.warning("%s is damaged; %s", where, otherwise)
        return None

"""The seal of a small object: its last 32 bytes, the BLAKE3 of everything before them, checked at every read."""

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
    """Return the body, proven, without copying it. where: the object's name; least_bytes: of a valid body.

    Raises DigestMismatch.
    """
    if len(data) < least_bytes + SEAL_BYTES:
        raise DigestMismatch(where, f"{least_bytes + SEAL_BYTES} bytes or more", f"{len(data)} bytes")
    view = memoryview(data)
    body, seal = view[:-SEAL_BYTES], view[-SEAL_BYTES:]
    actual = blake3(body).digest()
    if actual != seal:
        raise DigestMismatch(where, bytes(seal).hex(), actual.hex())
    return body


def read_if_whole(objects: ObjectStore, name: str, least_bytes: int, otherwise: str) -> memoryview | None:
    """Return the proven body of an optional object; None if it is absent or damaged.

    least_bytes: size of the smallest valid body. otherwise: the consequence of its loss, for the log.
    """
    where = f"{objects.location}/{name}"
    try:
        return unsealed(where, objects.get(name), least_bytes)
    except ObjectMissing:
        return None
    except DigestMismatch:
        LOG.warning("%s is damaged; %s", where, otherwise)
        return None

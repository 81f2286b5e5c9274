"""The seal of a small object: it ends in the BLAKE3 of everything before it, 32 bytes, and is proven whenever it is read."""

from blake3 import blake3

from catalog.errors import DigestMismatch

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

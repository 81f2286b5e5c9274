"""Bytes to land and what is true of them."""

import hashlib
import random

from storage.ceph import CephStorage
from storage.protocols import Digests, Landing, SourceInfo
from tests.storage.ceph.conftest import image_record

MIB = 1 << 20
OBJECT = 4 * MIB


def random_bytes(size: int, seed: int = 1) -> bytes:
    """Return bytes without a pattern, the same for a seed."""
    return random.Random(seed).randbytes(size)


def sparse_file(*parts: tuple[int, int]) -> bytes:
    """Return a file of (data, zeros) lengths."""
    return b"".join(
        random_bytes(data, seed) + bytes(zeros) for seed, (data, zeros) in enumerate(parts, start=1)
    )


def digests_of(data: bytes) -> Digests:
    """Return size and digests."""
    return Digests(
        size_bytes=len(data), md5=hashlib.md5(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest()
    )


def source(data: bytes | None) -> SourceInfo:
    """Return a source of known size, or of unknown size for None."""
    return SourceInfo(url="http://source/image", size_bytes=None if data is None else len(data), etag='"1"')


def write_all(landing: Landing, data: bytes, block: int = MIB) -> None:
    """Write in blocks."""
    for start in range(0, len(data), block):
        landing.write(memoryview(data)[start : start + block])


def land(storage: CephStorage, landing_id: str, data: bytes, block: int = MIB) -> None:
    """Land a whole file."""
    landing = storage.landing(landing_id)
    landing.begin(source(data))
    write_all(landing, data, block)
    landing.finish()
    landing.close()


def add(storage: CephStorage, image_id: str, data: bytes) -> None:
    """Land and publish a file as an image."""
    land(storage, f"landing-{image_id}", data)
    storage.publish(f"landing-{image_id}", image_record(image_id), digests_of(data))


def read_all(storage: CephStorage, image_id: str, block: int = OBJECT) -> bytes:
    """Read a replica through its reader."""
    reader = storage.open(image_id)
    try:
        return b"".join(reader.read_at(at, block) for at in range(0, reader.size_bytes, block))
    finally:
        reader.close()


def read_landing(landing: Landing) -> bytes:
    """Read a finished landing."""
    reader = landing.open()
    return b"".join(reader.read_at(at, OBJECT) for at in range(0, reader.size_bytes, OBJECT))


def kept_by(landing: Landing) -> bytes:
    """Restore a landing and return what it kept."""
    kept = bytearray()
    length = landing.restore(kept.extend)
    assert length == len(kept)
    return bytes(kept)

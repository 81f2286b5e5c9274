"""Bytes to land and what is true of them."""

import hashlib
from collections.abc import Iterable
from io import BytesIO

from storage.ceph import CephStorage
from storage.protocols import Digests, ImageReader, Landing, SourceInfo
from tests.services.payload import random_bytes
from tests.storage.ceph.conftest import image_record

MIB = 1 << 20
OBJECT = 4 * MIB


def sparse_file(*parts: tuple[int, int]) -> bytes:
    """Return a file of (data, zeros) lengths."""
    made = BytesIO()
    for seed, (data, zeros) in enumerate(parts, start=1):
        made.write(random_bytes(data, seed))
        made.write(bytes(zeros))
    return made.getvalue()


def digests_of(data: bytes) -> Digests:
    """Return size and digests."""
    return Digests(size_bytes=len(data), md5=hashlib.md5(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest())


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
        return _joined(reader.read_at(at, block) for at in range(0, reader.size_bytes, block))
    finally:
        reader.close()


def read_landing(landing: Landing) -> bytes:
    """Read a finished landing."""
    reader = landing.open()
    return _joined(reader.read_at(at, OBJECT) for at in range(0, reader.size_bytes, OBJECT))


def reads_as(reader: ImageReader, data: bytes) -> bool:
    """Compare what a reader reads with bytes, piece by piece: for files that are too large to have twice."""
    wanted = memoryview(data)
    return reader.size_bytes == len(data) and all(
        reader.read_at(at, OBJECT) == wanted[at : at + OBJECT] for at in range(0, len(data), OBJECT)
    )


def kept_of(landing: Landing, data: bytes) -> int:
    """Restore a large landing, see that it kept a beginning of `data`, and return how long that is."""
    wanted, length = memoryview(data), 0

    def compare(piece: memoryview) -> None:
        nonlocal length
        assert piece == wanted[length : length + len(piece)]
        length += len(piece)

    assert landing.restore(compare) == length
    return length


def kept_by(landing: Landing) -> bytes:
    """Restore a landing and return what it kept."""
    kept = BytesIO()
    length = landing.restore(lambda piece: kept.writelines((piece,)))
    assert length == kept.tell()
    return kept.getvalue()


def _joined(pieces: Iterable[bytes]) -> bytes:
    """Join without having all pieces beside their whole: these files are large."""
    whole = BytesIO()
    whole.writelines(pieces)
    return whole.getvalue()

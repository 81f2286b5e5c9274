"""UDF, as on Windows media and DVDs: check that its partition lies in the file.

The ISO 9660 volume beside it may be a stub.
ECMA-167, little-endian, sectors of 2048 bytes. Sector 256, tag 2: 16 length 4 and 20 sector 4 of the volume descriptors.
Each descriptor begins with its tag, 2 bytes; 5 is a partition: 188 first sector 4   192 sectors 4; 8 ends them.
"""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.iso.rules import PAD_BYTES
from storage.formats.rules import Rule

SECTOR = 2048
ANCHOR = 256 * SECTOR
MAX_DESCRIPTORS = 64
_ANCHOR_TAG, _PARTITION_TAG, _END_TAG = 2, 5, 8

TRUNCATED = Rule("iso.udf-truncated", "the UDF partition ends at byte {end}, the file at {size}; it is truncated")
NO_ANCHOR = Rule("iso.udf-short", "the file ends at byte {size}, before its UDF volume begins; it is truncated")


def findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the partition that the anchor points to. head: the first MiB; no findings if there is no UDF."""
    if not _marked(head):
        return
    if size_bytes < ANCHOR + SECTOR:
        yield NO_ANCHOR.found(ANCHOR, size=size_bytes)
        return
    for place, start, sectors in _partitions(head):
        end = (start + sectors) * SECTOR
        if end > size_bytes + PAD_BYTES:
            yield TRUNCATED.found(place, end=end, size=size_bytes)


def _marked(head: bytes) -> bool:
    """Tell whether the descriptors before the volume announce a UDF."""
    marks = (head[number * SECTOR + 1 :][:5] for number in range(16, 32))
    return any(mark in (b"NSR02", b"NSR03") for mark in marks)


def _partitions(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (place of the descriptor, first sector, sectors) for the descriptors that lie in the head."""
    anchor = head[ANCHOR : ANCHOR + SECTOR]
    if len(anchor) < SECTOR or struct.unpack_from("<H", anchor)[0] != _ANCHOR_TAG:
        return
    length, first = struct.unpack_from("<II", anchor, 16)
    for number in range(first, first + min(length // SECTOR, MAX_DESCRIPTORS)):
        descriptor = head[number * SECTOR : (number + 1) * SECTOR]
        tag = struct.unpack_from("<H", descriptor)[0] if len(descriptor) == SECTOR else _END_TAG
        if tag == _END_TAG:
            return
        if tag == _PARTITION_TAG:
            start, sectors = struct.unpack_from("<II", descriptor, 188)
            yield number * SECTOR, start, sectors

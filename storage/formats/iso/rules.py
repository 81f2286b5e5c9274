"""ISO 9660 (and UDF, recognised by its own descriptor): the primary volume descriptor and the rules on it.

ECMA-119. Descriptors of 2048 bytes from sector 16 on; numbers both-endian, little-endian half first.

   0 type 1 (1: primary)   1 "CD001"   80 volume size 4+4 (blocks)   128 block size 2+2
"""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule
from storage.formats.signatures import ISO_DESCRIPTOR, protective

PAD_BYTES = 150 * 2048
"""Padding that mkisofs counts as part of the volume and that copies often lack; it holds no data."""

SHORT = Rule("iso.short", "the file ends inside its volume descriptors ({size} bytes); it is truncated")
BLOCK = Rule("iso.block-size", "a block size of {block} bytes is not allowed; 512, 1024 and 2048 are")
TRUNCATED = Rule("iso.truncated", "the volume has {volume} bytes, the file only {size}; it is truncated")
PADDING = Rule("iso.padding", "the volume's last {missing} bytes, padding, are not in the file", severity="info")
HYBRID = Rule("iso.hybrid", "the disk is an ISO 9660 volume as well (a hybrid)", severity="info")
LEFTOVER = Rule(
    "iso.leftover",
    "byte {at} has the mark of an ISO 9660 volume that the disk once held; wipefs takes it off",
    severity="info",
)


def hybrid_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the volume on a partitioned disk: either part of it, or left over from before partitioning."""
    if min(_partition_starts(head), default=0) > ISO_DESCRIPTOR:
        yield LEFTOVER.found(ISO_DESCRIPTOR + 1, at=ISO_DESCRIPTOR + 1)
        return
    yield HYBRID.found(ISO_DESCRIPTOR + 1)
    yield from findings(head, size_bytes)


def findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the primary volume descriptor. head: at least 34 KiB if the file has them."""
    descriptor = head[ISO_DESCRIPTOR : ISO_DESCRIPTOR + 2048]
    if len(descriptor) < 2048:
        yield SHORT.found(ISO_DESCRIPTOR, size=size_bytes)
        return
    if descriptor[0] != 1 or descriptor[1:6] != b"CD001":
        return  # UDF, or a boot record comes first: no size to compare
    block = struct.unpack_from("<H", descriptor, 128)[0]
    if block not in (512, 1024, 2048):
        yield BLOCK.found(ISO_DESCRIPTOR + 128, block=block)
        return
    volume = struct.unpack_from("<I", descriptor, 80)[0] * block
    if volume > size_bytes + PAD_BYTES:
        yield TRUNCATED.found(ISO_DESCRIPTOR + 80, volume=volume, size=size_bytes)
    elif volume > size_bytes:
        yield PADDING.found(ISO_DESCRIPTOR + 80, missing=volume - size_bytes)


def _partition_starts(head: bytes) -> list[int]:
    """Return the starts of the GPT or MBR partitions, bytes."""
    if not protective(head) or not head.startswith(b"EFI PART", 512):
        entries = [struct.unpack_from("<II", head, 454 + 16 * number) for number in range(4)]
        return [first * 512 for first, count in entries if count]
    at, count, length = struct.unpack_from("<QII", head, 512 + 72)
    places = range(at * 512, min(at * 512 + count * max(length, 128), len(head) - 48), max(length, 128))
    return [struct.unpack_from("<Q", head, place + 32)[0] * 512 for place in places if any(head[place : place + 16])]

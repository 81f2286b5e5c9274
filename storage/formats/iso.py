"""ISO 9660 (and UDF, told by its own descriptor): the primary volume descriptor and the rules on it.

ECMA-119. Descriptors of 2048 bytes from sector 16 on; numbers both-endian, little-endian half first.

   0 type 1 (1: primary)   1 "CD001"   80 volume size 4+4 (blocks)   128 block size 2+2
"""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule
from storage.formats.signatures import ISO_DESCRIPTOR

PAD_BYTES = 150 * 2048
"""Padding that mkisofs counts into the volume and that copies often lack; it holds nothing."""

SHORT = Rule(
    "iso.short", 1, "error", "the file ends inside its volume descriptors ({size} bytes); it is truncated"
)
BLOCK = Rule(
    "iso.block-size", 1, "error", "a block size of {block} bytes is not allowed; 512, 1024 and 2048 are"
)
TRUNCATED = Rule(
    "iso.truncated", 1, "error", "the volume has {volume} bytes, the file only {size}; it is truncated"
)
PADDING = Rule("iso.padding", 1, "info", "the volume's last {missing} bytes, padding, are not in the file")


def findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the primary volume descriptor. head: at least 34 KiB where the file has them."""
    descriptor = head[ISO_DESCRIPTOR : ISO_DESCRIPTOR + 2048]
    if len(descriptor) < 2048:
        yield SHORT.found(ISO_DESCRIPTOR, size=size_bytes)
        return
    if descriptor[0] != 1 or descriptor[1:6] != b"CD001":
        return  # UDF, or a boot record first: nothing to compare the size with
    block = struct.unpack_from("<H", descriptor, 128)[0]
    if block not in (512, 1024, 2048):
        yield BLOCK.found(ISO_DESCRIPTOR + 128, block=block)
        return
    volume = struct.unpack_from("<I", descriptor, 80)[0] * block
    if volume > size_bytes + PAD_BYTES:
        yield TRUNCATED.found(ISO_DESCRIPTOR + 80, volume=volume, size=size_bytes)
    elif volume > size_bytes:
        yield PADDING.found(ISO_DESCRIPTOR + 80, missing=volume - size_bytes)

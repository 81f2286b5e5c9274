"""Every signature by which qemu or a person would recognise a file, and its place.

Two that match one file make it a polyglot: its format would depend on the reader.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ISO_DESCRIPTOR = 0x8000  # sector 16, 2048 bytes each
_TEXT_VMDK = re.compile(rb"\A(?:#[^\n]*\n|\s*\r?\n)*version=[123]")  # qemu's vmdk_probe
_VMDK_COMMENT = re.compile(rb"\A\s*# *disk ?descriptor ?file", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signature:
    """Magic bytes of a format. A negative offset counts from the end of the file."""

    format: str
    offset: int
    magic: bytes


SIGNATURES = (
    Signature("qcow2", 0, b"QFI\xfb"),
    Signature("vmdk", 0, b"KDMV"),
    Signature("vmdk", 0, b"COWD"),
    Signature("iso", ISO_DESCRIPTOR + 1, b"CD001"),
    Signature("iso", ISO_DESCRIPTOR + 1, b"BEA01"),  # UDF without ISO 9660
    Signature("qed", 0, b"QED\x00"),
    Signature("vhd", 0, b"conectix"),  # dynamic: a copy of the footer in front
    Signature("vhd", -512, b"conectix"),  # dynamic: a copy of the footer at the start
    Signature("vhd", -511, b"conectix"),  # fixed, as written by Virtual PC before 2004
    Signature("vhdx", 0, b"vhdxfile"),
    Signature("vdi", 0x40, b"\x7f\x10\xda\xbe"),
    Signature("luks", 0, b"LUKS\xba\xbe"),
    Signature("parallels", 0, b"WithoutFreeSpace"),
    Signature("parallels", 0, b"WithouFreSpacExt"),
    Signature("bochs", 0, b"Bochs Virtual HD Image"),
    Signature("cloop", 0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop"),
    Signature("dmg", -512, b"koly\x00\x00\x00\x04"),
    Signature("gzip", 0, b"\x1f\x8b\x08"),
    Signature("xz", 0, b"\xfd7zXZ\x00"),
    Signature("zstd", 0, b"\x28\xb5\x2f\xfd"),
    Signature("bzip2", 4, b"1AY&SY"),  # BZh and a digit before it
    Signature("lz4", 0, b"\x04\x22\x4d\x18"),
    Signature("zip", 0, b"PK\x03\x04"),
    Signature("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    Signature("wim", 0, b"MSWIM\x00\x00\x00"),
    Signature("tar", 257, b"ustar"),
)


RAW = "raw"
RAW_AS_WELL = ("iso", "luks")
"""Formats whose files hold the same bytes for a reader that takes them as raw."""


def detect(head: bytes, tail: bytes, size_bytes: int, declared: str | None) -> tuple[str, int]:
    """Return (format, offset of its signature). tail: empty if not known yet.

    declared: the format the caller states; it decides only for bytes that are both an ISO and a partitioned disk.
    """
    found, offset = next(matches(head, tail, size_bytes), None) or (RAW, 0)
    hybrid = found == "iso" and declared == RAW and disk_too(head)
    return (RAW, 0) if found == "luks" or hybrid else (found, offset)


def matches(head: bytes, tail: bytes, size_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield (format, offset) for every format that the bytes match.

    head, tail: the first and last bytes of the file, at least 64 KiB and 1 KiB if the file has them.
    """
    for signature in SIGNATURES:
        at = signature.offset
        if at >= 0 and head.startswith(signature.magic, at):
            yield signature.format, at
        if at < 0 and len(tail) >= -at and tail.startswith(signature.magic, len(tail) + at):
            yield signature.format, size_bytes + at
    if _TEXT_VMDK.match(head) or _VMDK_COMMENT.match(head):
        yield "vmdk", 0


def protective(sector: bytes) -> bool:
    """Tell whether the first sector announces a GPT; without it, a GPT is left over from earlier use."""
    kinds = (sector[450 + 16 * number : 451 + 16 * number] for number in range(4))
    return sector[510:512] == b"\x55\xaa" and b"\xee" in kinds


def partition_table(head: bytes) -> bool:
    """Tell whether the first sector holds an MBR (protective or not) with a plausible entry, and no FAT volume."""
    if len(head) < 512 or head[510:512] != b"\x55\xaa" or head[0x36:0x39] == b"FAT" or head[0x52:0x55] == b"FAT":
        return False
    entries = [head[446 + 16 * i : 462 + 16 * i] for i in range(4)]
    return all(e[0] in (0, 0x80) for e in entries) and any(e[4] and any(e[8:16]) for e in entries)


def disk_too(head: bytes) -> bool:
    """Tell whether a file that begins as an ISO is also a partitioned disk.

    Hybrids mark a partition of no type active.
    """
    actives = (head[446 + 16 * i] == 0x80 and any(head[458 + 16 * i : 462 + 16 * i]) for i in range(4))
    return head[510:512] == b"\x55\xaa" and (partition_table(head) or protective(head) or any(actives))

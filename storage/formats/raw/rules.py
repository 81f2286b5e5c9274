"""Raw: bytes without a signature. The rules judge what else they may be, their contents, and whether these are complete.

GPT (UEFI 2.10, chapter 5), little-endian, header at sector 1: 0 "EFI PART"   32 backup sector 8   72 entries' sector 8
80 entries 4   84 entry size 4; an entry: 0 type GUID 16 (zero: unused)   32 first sector 8   40 last sector 8.
"""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.raw import filetypes, texts, volumes
from storage.formats.rules import Rule
from storage.formats.signatures import partition_table, protective

MAX_ENTRIES = 1024

EMPTY = Rule("file.empty", "the file is empty: 0 bytes")
GPT_SHORT = Rule("raw.truncated", "partition {number} ends at byte {end}, the file at {size}; the disk is truncated")
GPT_TABLE = Rule("raw.gpt-table", "the entries of the GPT at byte {start} do not lie in the file of {size} bytes")
GPT_BACKUP = Rule(
    "raw.gpt-backup",
    "the backup GPT should lie at byte {start}, the file ends at {size}: the disk was cut off, perhaps by a download "
    "that broke off; compare size and checksum with the source's",
    severity="warning",
)
NO_GPT_BACKUP = Rule(
    "raw.no-gpt-backup", "there is no backup GPT at byte {start}, where the GPT says that it is", severity="warning"
)
UNRECOGNIZED = Rule(
    "file.unrecognized",
    "nothing says that the bytes are a disk: no partition table, file system or boot sector was found; a blank or "
    "encrypted volume looks like this, and so does any file of another kind",
    severity="warning",
)
MBR_SHORT = Rule(
    "raw.mbr-truncated",
    "MBR partition {number} ends at byte {end}, the file at {size}; it may be truncated",
    severity="warning",
)  # only a warning: tools that round to cylinders write such tables too


def findings(head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the kind of the bytes, and whether their contents are complete. tail: empty if not known yet."""
    if volumes.content(head, tail) is None:
        others = [*filetypes.findings(head, tail, size_bytes)] or [*texts.findings(head, size_bytes)]
        yield from others or (UNRECOGNIZED.found(0),)
    else:
        yield from volumes.findings(head, size_bytes)
    yield from disk_findings(head, tail, size_bytes)


def disk_findings(head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge whether the partitions of a disk lie in the file."""
    if partition_table(head):
        yield from _mbr_findings(head, size_bytes)
    for sector in (512, 4096):
        if head.startswith(b"EFI PART", sector) and protective(head):
            yield from _gpt_findings(head, sector, size_bytes)
            yield from _backup_findings(head, tail, sector, size_bytes)


def _mbr_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    for number in range(4):
        kind = head[450 + 16 * number]
        first, count = struct.unpack_from("<II", head, 454 + 16 * number)
        end = (first + count) * 512
        if kind not in (0, 0xEE) and end > size_bytes:
            yield MBR_SHORT.found(446 + 16 * number, number=number + 1, end=end, size=size_bytes)


def _gpt_findings(head: bytes, sector: int, size_bytes: int) -> Iterator[Finding]:
    if len(head) < sector + 92:
        return
    at, count, length = struct.unpack_from("<QII", head, sector + 72)
    if at * sector + count * length > size_bytes:
        yield GPT_TABLE.found(sector + 72, start=at * sector, size=size_bytes)
    for number in range(min(count, MAX_ENTRIES)):
        start = at * sector + number * length
        entry = head[start : start + 48]
        if len(entry) < 48 or length < 128:
            return
        end = (struct.unpack_from("<Q", entry, 40)[0] + 1) * sector
        if any(entry[:16]) and end > size_bytes:
            yield GPT_SHORT.found(start, number=number + 1, end=end, size=size_bytes)


def _backup_findings(head: bytes, tail: bytes, sector: int, size_bytes: int) -> Iterator[Finding]:
    """Look for the backup of the GPT in the last sector of the disk that it was made on."""
    if len(head) < sector + 92:
        return
    start = struct.unpack_from("<Q", head, sector + 32)[0] * sector
    if start + sector > size_bytes:
        yield GPT_BACKUP.found(sector + 32, start=start, size=size_bytes)
        return
    in_tail = start - (size_bytes - len(tail))
    if in_tail >= 0 and not tail.startswith(b"EFI PART", in_tail):
        yield NO_GPT_BACKUP.found(start, start=start)

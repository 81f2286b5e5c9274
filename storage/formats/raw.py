"""Raw: bytes without a signature. What can be told is what they are not, and whether a GPT disk is whole.

GPT (UEFI 2.10, chapter 5), little-endian, header at sector 1: 0 "EFI PART"   32 backup sector 8   72 entries' sector 8
80 entries 4   84 entry size 4; an entry: 0 type GUID 16 (zero: unused)   32 first sector 8   40 last sector 8.
"""

import json
import re
import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule, printable
from storage.formats.signatures import partition_table, protective

MAX_ANSWER = 64 << 10
_PAGE = re.compile(
    rb"\A(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|\?xml|error\b)",
    re.IGNORECASE | re.DOTALL,
)
MAX_ENTRIES = 1024

PAGE = Rule(
    "file.html-page",
    1,
    "error",
    "the file is a web page ('{start}'), not an image; the address probably leads to a log-in or error page",
)
ANSWER = Rule("file.json-answer", 1, "error", "the file is a server's JSON answer ('{start}'), not an image")
EMPTY = Rule("file.empty", 1, "error", "the file is empty: 0 bytes")
GPT_SHORT = Rule(
    "raw.truncated",
    1,
    "error",
    "partition {number} ends at byte {end}, the file at {size}; the disk is truncated",
)
MBR_SHORT = Rule(
    "raw.mbr-truncated",
    1,
    "warning",
    "MBR partition {number} ends at byte {end}, the file at {size}; it may be truncated",
)  # only a warning: tools that round to cylinders write such tables too


def page_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Tell a web page or a server's answer from an image."""
    if _PAGE.match(head[:4096]):
        yield PAGE.found(0, start=printable(head.strip(), 40))
    elif head[:1] == b"{" and size_bytes <= MAX_ANSWER and _is_json(head):
        yield ANSWER.found(0, start=printable(head, 40))


def _is_json(head: bytes) -> bool:
    try:
        json.loads(head)
    except (ValueError, RecursionError):
        return False
    return True


def disk_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge whether the partitions of a disk lie in the file."""
    if partition_table(head):
        yield from _mbr_findings(head, size_bytes)
    for sector in (512, 4096):
        if head.startswith(b"EFI PART", sector) and protective(head):
            yield from _gpt_findings(head, sector, size_bytes)


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
    for number in range(min(count, MAX_ENTRIES)):
        start = at * sector + number * length
        entry = head[start : start + 48]
        if len(entry) < 48 or length < 128:
            return
        end = (struct.unpack_from("<Q", entry, 40)[0] + 1) * sector
        if any(entry[:16]) and end > size_bytes:
            yield GPT_SHORT.found(start, number=number + 1, end=end, size=size_bytes)

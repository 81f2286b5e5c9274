"""Persistent dirty bitmaps of a qcow2 file: qemu opens an image for writing only if all its bitmaps are there.

Header extension 0x23852875, big-endian: 0 bitmaps 4   8 directory size 8   16 directory offset 8. It counts only with
autoclear bit 0. Directory entries: 0 table offset 8   8 table entries 4   12 flags 4   16 type 1   17 granularity 1
18 name length 2   20 extra bytes 4; then extra data and name, padded to 8. A table's entries point to clusters.
"""

import struct
from collections.abc import Callable, Iterator

from catalog.records import Finding
from storage.formats.qcow2.header import Header
from storage.formats.regions import Regions
from storage.formats.rules import Rule
from storage.formats.scan import Scan

EXTENSION = 0x23852875
FIXED = 24
MAX_BITMAPS, MAX_DIRECTORY = 65535, 1 << 20
MAX_FOLLOWED_BYTES = 64 << 20
"""Most bytes of tables that are examined: a bitmap of a disk of 1 TiB has 256 of them."""

OUTSIDE = Rule("qcow2.bitmaps", "the directory of {count} bitmaps at {start} is damaged or not in the file")


class BitmapScan(Scan):
    """Reads the directory named in the header, and passes on where the bitmaps' tables are. Memory: 1 MiB."""

    def __init__(self, header: Header, head: bytes, follow: Callable[[int, int], None]) -> None:
        """follow: called with (place, entries) of each table."""
        self._count, self._size, self._start = _extension(header, head)
        self._follow, self._followed, self._read = follow, 0, 0
        self._alignment = header.cluster_bytes

    def begin(self, regions: Regions) -> None:
        """Request the directory."""
        if self._count and self._sound:
            regions.want((self._start,), self._size, self._take)

    @property
    def _sound(self) -> bool:
        placed = self._start > 0 and self._start % self._alignment == 0
        return placed and self._count <= MAX_BITMAPS and 0 < self._size <= MAX_DIRECTORY

    def _take(self, _: int, directory: bytes) -> None:
        at = 0
        while at + FIXED <= len(directory) and self._read < self._count:
            place, entries = struct.unpack_from(">QI", directory, at)
            name, extra = struct.unpack_from(">HI", directory, at + 18)
            at += -(-(FIXED + extra + name) // 8) * 8
            if at <= len(directory):
                self._read += 1
                self._followed += entries * 8
                if self._followed <= MAX_FOLLOWED_BYTES:
                    self._follow(place, entries)

    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:  # noqa: ARG002  # a bitmap has no size of its own
        """Judge the directory, unless it was not seen yet."""
        outside = self._start >= regions.size_bytes
        if self._count and (not self._sound or outside or (regions.complete and self._read < self._count)):
            yield OUTSIDE.found(self._start, count=self._count, start=self._start)


def _extension(header: Header, head: bytes) -> tuple[int, int, int]:
    """Return the number of bitmaps, and the size and place of their directory; zeros if none count."""
    if header.version < 3 or not head[95] & 1:
        return 0, 0, 0
    at, end = header.header_length, min(header.cluster_bytes, len(head))
    while at + 8 <= end:
        kind, length = struct.unpack_from(">II", head, at)
        if kind == 0:
            break
        if kind == EXTENSION and length >= FIXED and at + 8 + FIXED <= end:
            count, size, start = struct.unpack_from(">I4xQQ", head, at + 8)
            return count, size, start
        at += 8 + -(-length // 8) * 8
    return 0, 0, 0

"""The internal snapshots of a qcow2 file: they travel with it, so they may not be larger than an image may be.

Entries, big-endian: 0 L1 offset 8   8 L1 entries 4   12 id length 2   14 name length 2   16 date 8   24 clock 8
32 VM state bytes 4   36 extra bytes 4   40 extra: VM state bytes 8, disk bytes 8, …; then id and name; padded to 8.
"""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.qcow2 import MAX_SNAPSHOTS
from storage.formats.qcow2_header import Header
from storage.formats.regions import Regions
from storage.formats.rules import Rule

FIXED = 40
MAX_ENTRY = 4096  # qemu writes 24 extra bytes, an id of a few and a name of at most 255
MAX_STATE_BYTES = 64 << 30

TABLE = Rule(
    "qcow2.snapshot-table", 1, "error", "the snapshot table at {start} is damaged or not in the file"
)
DISK = Rule(
    "qcow2.snapshot-disk",
    1,
    "error",
    "internal snapshot {number} has {size} bytes, more than the {limit} allowed",
)
STATE = Rule(
    "qcow2.snapshot-state",
    1,
    "error",
    "internal snapshot {number} keeps {size} bytes of memory, more than the {limit} allowed",
)


class SnapshotScan:
    """Reads the table where the header has one. Memory: 64 KiB."""

    def __init__(self, header: Header) -> None:
        self._header, self._table = header, b""
        self._wanted = 0 < header.snapshots <= MAX_SNAPSHOTS

    def begin(self, regions: Regions) -> None:
        """Ask for the table, entry after entry: its length is not known before."""
        if self._wanted:
            self._want(regions, self._header.snapshots_offset, FIXED)

    def _want(self, regions: Regions, start: int, length: int) -> None:
        def take(_: int, piece: bytes) -> None:
            self._table += piece
            following = self._missing()
            if following and len(piece) == length:
                self._want(regions, start + length, following)

        regions.want((start,), length, take)

    def _missing(self) -> int:
        """Return how many bytes are needed to get on: the rest of an entry, or the head of the next; 0 at the end."""
        at = 0
        for _ in range(self._header.snapshots):
            if len(self._table) < at + FIXED:
                return at + FIXED - len(self._table)
            end = at + _length(self._table, at)
            if end - at > MAX_ENTRY:
                return 0
            if len(self._table) < end:
                return end - len(self._table)
            at = end
        return 0

    def findings(self, limit: int, regions: Regions) -> Iterator[Finding]:
        """Judge the table, unless it was not seen yet. limit: largest virtual size allowed."""
        at, start = 0, self._header.snapshots_offset
        if not self._wanted or not (regions.complete or start >= regions.size_bytes):
            return
        for number in range(1, self._header.snapshots + 1):
            if len(self._table) < at + FIXED or len(self._table) < at + _length(self._table, at):
                yield TABLE.found(start + at, start=start)
                return
            disk, state = _sizes(self._table, at, self._header.size_bytes)
            if disk > limit:
                yield DISK.found(start + at, number=number, size=disk, limit=limit)
            if state > MAX_STATE_BYTES:
                yield STATE.found(start + at, number=number, size=state, limit=MAX_STATE_BYTES)
            at += _length(self._table, at)


def _length(table: bytes, at: int) -> int:
    id_length, name_length = struct.unpack_from(">HH", table, at + 12)
    (extra,) = struct.unpack_from(">I", table, at + 36)
    return int(-(-(FIXED + extra + id_length + name_length) // 8) * 8)


def _sizes(table: bytes, at: int, disk: int) -> tuple[int, int]:
    """Return disk size and VM state size of an entry, bytes. disk: what holds where the entry does not say."""
    state, extra = struct.unpack_from(">II", table, at + 32)
    if extra >= 8:
        state = struct.unpack_from(">Q", table, at + 40)[0]
    if extra >= 16:
        disk = struct.unpack_from(">Q", table, at + 48)[0]
    return disk, state

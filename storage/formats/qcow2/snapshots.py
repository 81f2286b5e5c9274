"""Internal snapshots of a qcow2 file: they travel with it, so none may be larger than an image may be.

Entries, big-endian: 0 L1 offset 8   8 L1 entries 4   12 id length 2   14 name length 2   16 date 8   24 clock 8
32 VM state bytes 4   36 extra bytes 4   40 extra: VM state bytes 8, disk bytes 8, …; then id and name; padded to 8,
except the last one, after which the file may end.
"""

import struct
from collections.abc import Callable, Iterator

from catalog.records import Finding
from storage.formats.qcow2.header import Header
from storage.formats.qcow2.rules import MAX_L1_BYTES, MAX_SNAPSHOTS
from storage.formats.regions import Regions
from storage.formats.rules import Rule
from storage.formats.scan import Scan

FIXED = 40
MAX_ENTRY = 4096  # qemu writes 24 extra bytes, a short id and a name of at most 255 bytes
MAX_TABLE_BYTES = 64 << 20  # qemu's own limit
MAX_PIECE = 1 << 20
MAX_FOLLOWED_BYTES = 64 << 20
"""Most bytes of the snapshots' L1 tables that are examined: 10,000 snapshots of a disk of 400 GiB have this many."""
MAX_STATE_BYTES = 64 << 30
MAX_NAMED = 8
"""Most snapshots that a verdict names; a file may have tens of thousands."""

TABLE = Rule("qcow2.snapshot-table", "the snapshot table at {start} is damaged or not in the file", version=2)
DISK = Rule("qcow2.snapshot-disk", "internal snapshot {number} has {size} bytes, more than the {limit} allowed")
STATE = Rule(
    "qcow2.snapshot-state", "internal snapshot {number} keeps {size} bytes of memory, more than the {limit} allowed"
)
L1_PLACE = Rule(
    "qcow2.snapshot-l1",
    "the L1 table of internal snapshot {number} ({entries} entries at {start}) does not lie in the file",
)
UNFOLLOWED = Rule(
    "qcow2.snapshots-unfollowed",
    "the tables of some internal snapshots were not looked at: there are more than {limit} bytes of them",
    severity="info",
)


class SnapshotScan(Scan):
    """Reads the table named in the header, and passes on where the snapshots' L1 tables are.

    Memory: 2 MiB and 16 bytes per snapshot.
    """

    def __init__(self, header: Header, follow: Callable[[int, int], None]) -> None:
        """follow: called with (place, entries) of each L1 table once the whole snapshot table is known."""
        self._header, self._follow = header, follow
        self._rest, self._number, self._at = b"", 0, header.snapshots_offset
        self._wanted = 0 < header.snapshots <= MAX_SNAPSHOTS
        self._damaged = False
        self._disks: list[tuple[int, int, int]] = []  # (size, number, where): the largest
        self._states: list[tuple[int, int, int]] = []
        self._tables: dict[tuple[int, int], tuple[int, int]] = {}  # (place, entries): (number, where)
        self._unfollowed = False

    def begin(self, regions: Regions) -> None:
        """Request the table piece by piece: its length is not known in advance."""
        if self._wanted:
            self._want(regions, self._header.snapshots_offset)

    def _want(self, regions: Regions, start: int) -> None:
        length = self._missing()

        def take(_: int, piece: bytes) -> None:
            self._rest += piece
            self._read_entries()
            self._damaged |= len(piece) < length or start + length - self._header.snapshots_offset > MAX_TABLE_BYTES
            if self._number == self._header.snapshots:
                self._follow_tables()
            elif not self._damaged:
                self._want(regions, start + length)

        regions.want((start,), length, take)

    def _missing(self) -> int:
        """Return the least number of bytes still to come: the rest of this entry and the minimum for the others."""
        left = self._header.snapshots - self._number
        here = _length(self._rest, 0, last=left == 1) if len(self._rest) >= FIXED else FIXED
        return min(here + (left - 1) * FIXED - len(self._rest), MAX_PIECE)

    def _read_entries(self) -> None:
        at, last = 0, self._header.snapshots
        while self._number < last and not self._damaged and len(self._rest) >= at + FIXED:
            length = _length(self._rest, at, last=self._number == last - 1)
            self._damaged = length > MAX_ENTRY
            if len(self._rest) < at + length:
                break
            self._number += 1
            self._note(at)
            at += length
        self._rest, self._at = self._rest[at:], self._at + at

    def _note(self, at: int) -> None:
        """Keep only what matters of an entry: a table may have 65,536 of them."""
        place, entries = struct.unpack_from(">QI", self._rest, at)
        disk, state = _sizes(self._rest, at, self._header.size_bytes)
        self._disks = sorted([*self._disks, (disk, self._number, self._at + at)], reverse=True)[:MAX_NAMED]
        self._states = sorted([*self._states, (state, self._number, self._at + at)], reverse=True)[:MAX_NAMED]
        self._tables.setdefault((place, entries), (self._number, self._at + at))

    def _follow_tables(self) -> None:
        followed = 0
        for place, entries in sorted(self._tables):
            followed += entries * 8
            self._unfollowed = followed > MAX_FOLLOWED_BYTES
            if self._unfollowed:
                return
            if entries and self._fits(place, entries, place + entries * 8):
                self._follow(place, entries)  # whether it lies in the file is known only at the end

    def _fits(self, place: int, entries: int, size_bytes: int) -> bool:
        aligned = place % self._header.cluster_bytes == 0
        return aligned and entries * 8 <= MAX_L1_BYTES and place + entries * 8 <= size_bytes

    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:
        """Judge the table, unless it was not seen yet."""
        start = self._header.snapshots_offset
        if not self._wanted or not (regions.complete or start >= regions.size_bytes):
            return
        if self._number < self._header.snapshots:
            yield TABLE.found(self._at, start=start)
        for size, number, where in self._disks:
            if size > limit:
                yield DISK.found(where, number=number, size=size, limit=limit)
        for size, number, where in self._states:
            if size > MAX_STATE_BYTES:
                yield STATE.found(where, number=number, size=size, limit=MAX_STATE_BYTES)
        yield from self._outside(regions.size_bytes)
        if self._unfollowed:
            yield UNFOLLOWED.found(start, limit=MAX_FOLLOWED_BYTES)

    def _outside(self, size_bytes: int) -> Iterator[Finding]:
        lost = ((place, entries) for place, entries in self._tables if not self._fits(place, entries, size_bytes))
        for place, entries in sorted(lost)[:MAX_NAMED]:
            number, where = self._tables[place, entries]
            yield L1_PLACE.found(where, number=number, entries=entries, start=place)


def _length(table: bytes, at: int, *, last: bool) -> int:
    """Return the length of an entry; the last one is not padded."""
    id_length, name_length = struct.unpack_from(">HH", table, at + 12)
    (extra,) = struct.unpack_from(">I", table, at + 36)
    length = int(FIXED + extra + id_length + name_length)
    return length if last else -(-length // 8) * 8


def _sizes(table: bytes, at: int, disk: int) -> tuple[int, int]:
    """Return disk size and VM state size of an entry, bytes. disk: the size used if the entry has none."""
    state, extra = struct.unpack_from(">II", table, at + 32)
    if extra >= 8:
        state = struct.unpack_from(">Q", table, at + 40)[0]
    if extra >= 16:
        disk = struct.unpack_from(">Q", table, at + 48)[0]
    return disk, state

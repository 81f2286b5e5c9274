"""Grain directory and tables of a sparse VMDK, judged as they pass: every grain must lie in the file, whole.

Entries are 4 bytes, in sectors; 0 is a hole, 1 a zero grain. A directory at the end (streamOptimized with a footer) is
known only when the stream has ended: then the regions stay incomplete and a seekable source shows the rest. No table
gives the length of a compressed grain, so the furthest one is unpacked, after its marker if there is one (8 bytes
number, 4 bytes length).
"""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.records import Finding
from storage.formats.regions import PIECE, Regions
from storage.formats.rules import Rule
from storage.formats.scan import Scan
from storage.formats.vmdk.header import AT_END, COMPRESSED, MARKERS, SECTOR, Header, read_footer

if TYPE_CHECKING:
    from numpy import uint32
    from numpy.typing import NDArray

DIRECTORY_PIECE = 1 << 20

OUTSIDE = Rule("vmdk.truncated", "grains up to byte {end} are used, the file has {size}; it is truncated", version=2)
CUT_GRAIN = Rule(
    "vmdk.cut-grain", "the compressed grain at byte {start} is not whole, the file ends at {size}; it is truncated"
)
SHARED = Rule(
    "vmdk.shared-grains",
    "the tables claim {claimed} bytes of grains, the file has {size}: grains are used more than once",
)
BOMB = Rule("vmdk.bomb", "{count} compressed grains of {grain} bytes can't come out of {size} bytes of file")
MAX_RATIO = 1100


class TableScan(Scan):
    """Sums over all grain tables of one image. Memory: one piece of the directory and one table."""

    def __init__(self, header: Header, limit: int) -> None:
        """limit: largest virtual size allowed, bytes; tables beyond it are not examined."""
        self._header = header
        self._allowed = header.size_bytes <= limit
        self._packed = bool(header.flags & COMPRESSED)
        self._furthest = (0, 0)  # (end offset, place of the entry)
        self._last_grain = (0, 0)  # (start offset, place of the entry): the furthest compressed one
        self._cut = False  # that grain is not whole
        self._tables = self._grains = 0
        self._remainder = header.capacity % header.grain * SECTOR  # of the guest's disk, in its last grain
        self._last_table = 0  # offset of the table that has this grain, bytes
        self._regions: Regions | None = None

    def begin(self, regions: Regions) -> None:
        """Request the directory if the header names it, and each table as it becomes known."""
        if not self._allowed:
            return
        self._regions = regions
        if self._header.directory != AT_END:
            self._want_directory(self._header.directory * SECTOR)

    def end(self, regions: Regions) -> None:
        """Find the directory at the end of the stream: a footer may name it."""
        footer = read_footer(regions.tail) if self._header.directory == AT_END else None
        if footer is not None and footer.directory != AT_END:
            self._want_directory(footer.directory * SECTOR)

    def look(self, regions: Regions) -> None:
        """Request the furthest compressed grain, now that all tables were seen."""
        start, size = self._last_grain[0], regions.size_bytes
        if 0 < start < size:
            length = min(size - start, 2 * self._header.grain * SECTOR + SECTOR, PIECE)
            regions.want((start,), length, self._take_grain)

    def _want_directory(self, start: int) -> None:
        end = start + self._header.tables * 4
        for piece in range(start, end, DIRECTORY_PIECE):
            if self._regions is not None:
                self._regions.want((piece,), min(DIRECTORY_PIECE, end - piece), self._take_directory)

    def _take_directory(self, start: int, piece: bytes) -> None:
        import numpy as np

        entries = _entries(piece)
        used = entries[entries != 0]
        self._tables += len(used)
        length = self._header.table_entries * 4
        self._reach(used, length, start)
        if len(entries):  # of those in the last piece, the last one is kept
            self._last_table = int(entries[-1]) * SECTOR
        offsets = np.unique(used).astype("int64") * SECTOR
        apart = offsets[np.diff(offsets, prepend=-length) >= length]
        if len(apart) and self._regions is not None:
            self._regions.want(apart, length, self._take_table)

    def _take_table(self, start: int, piece: bytes) -> None:
        entries = _entries(piece)
        used = entries[entries > 1]
        self._grains += len(used)
        if self._packed:
            last = int(used.max()) * SECTOR if len(used) else 0
            self._last_grain = max(self._last_grain, (last, start))
            self._reach(used, 1, start)
            return
        if self._remainder and start == self._last_table:
            last = self._header.capacity // self._header.grain % self._header.table_entries
            self._reach(entries[last : last + 1][entries[last : last + 1] > 1], self._remainder, start)
            entries[last : last + 1] = 0
            used = entries[entries > 1]
        self._reach(used, self._header.grain * SECTOR, start)

    def _take_grain(self, _: int, data: bytes) -> None:
        marked = 12 if self._header.flags & MARKERS else 0
        unpacking = zlib.decompressobj()
        try:
            unpacking.decompress(data[marked:], self._header.grain * SECTOR + 1)  # 1 more, to reach its end mark
        except zlib.error:
            return  # damaged, not cut off: the conversion reports it
        said = int.from_bytes(data[8:12], "little") if marked else 0
        self._cut = not unpacking.eof or len(data) < marked + said

    def _reach(self, sectors: "NDArray[uint32]", length: int, where: int) -> None:
        if len(sectors):
            self._furthest = max(self._furthest, (int(sectors.max()) * SECTOR + length, where))

    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:  # noqa: ARG002  # it looked within the limit
        """Judge the sums."""
        size_bytes = regions.size_bytes
        byte, where = self._furthest
        grain = self._header.grain * SECTOR
        if byte > size_bytes:
            yield OUTSIDE.found(where, end=byte, size=size_bytes)
        elif self._cut:
            yield CUT_GRAIN.found(self._last_grain[1], start=self._last_grain[0], size=size_bytes)
        if self._header.compression and self._grains * grain > size_bytes * MAX_RATIO:
            yield BOMB.found(where, count=self._grains, grain=grain, size=size_bytes)
        tables = self._tables * self._header.table_entries * 4
        claimed = tables + (0 if self._header.compression else self._grains * grain)
        if claimed > size_bytes + 2 * grain and byte <= size_bytes:
            yield SHARED.found(where, claimed=claimed, size=size_bytes)


def _entries(piece: bytes) -> "NDArray[uint32]":
    import numpy as np

    return np.frombuffer(piece[: len(piece) // 4 * 4], dtype="<u4").astype(np.uint32)

"""The grain directory and tables of a sparse VMDK, judged as they pass: do all grains lie in the file.

Entries are 4 bytes, in sectors; 0 is a hole, 1 a zero grain. A directory at the end (streamOptimized with a footer) is known
only when the stream is over: then the regions stay incomplete and a seekable source shows the rest.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.records import Finding
from storage.formats.regions import Regions
from storage.formats.rules import Rule
from storage.formats.vmdk_header import AT_END, SECTOR, Header, read_footer

if TYPE_CHECKING:
    from numpy import uint32
    from numpy.typing import NDArray

DIRECTORY_PIECE = 1 << 20

OUTSIDE = Rule(
    "vmdk.truncated", 1, "error", "grains up to byte {end} are used, the file has {size}; it is truncated"
)
SHARED = Rule(
    "vmdk.shared-grains",
    1,
    "error",
    "the tables claim {claimed} bytes of grains, the file has {size}: grains are used more than once",
)
BOMB = Rule(
    "vmdk.bomb",
    1,
    "error",
    "{count} compressed grains of {grain} bytes can't come out of {size} bytes of file",
)
MAX_RATIO = 1100


class TableScan:
    """Sums over all grain tables of one image. Memory: one piece of the directory and one table."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._furthest = (0, 0)  # (byte, where the entry lies)
        self._tables = self._grains = 0
        self._regions: Regions | None = None

    def begin(self, regions: Regions) -> None:
        """Ask for the directory where the header knows it, and for each table as it becomes known."""
        self._regions = regions
        if self._header.directory != AT_END:
            self._want_directory(self._header.directory * SECTOR)

    def end(self, tail: bytes) -> None:
        """Look where the directory was, now that the stream is over: a footer may tell."""
        footer = read_footer(tail) if self._header.directory == AT_END else None
        if footer is not None and footer.directory != AT_END:
            self._want_directory(footer.directory * SECTOR)

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
        self._reach(used, start)
        length = self._header.table_entries * 4
        offsets = np.unique(used).astype("int64") * SECTOR
        apart = offsets[np.diff(offsets, prepend=-length) >= length]
        if len(apart) and self._regions is not None:
            self._regions.want(apart, length, self._take_table)

    def _take_table(self, start: int, piece: bytes) -> None:
        entries = _entries(piece)
        used = entries[entries > 1]
        self._grains += len(used)
        self._reach(used, start)

    def _reach(self, sectors: "NDArray[uint32]", where: int) -> None:
        if len(sectors):
            self._furthest = max(self._furthest, (int(sectors.max()) * SECTOR, where))

    def findings(self, size_bytes: int) -> Iterator[Finding]:
        """Judge the sums. size_bytes: of the whole file."""
        byte, where = self._furthest
        grain = self._header.grain * SECTOR
        if byte >= size_bytes:
            yield OUTSIDE.found(where, end=byte, size=size_bytes)
        if self._header.compression and self._grains * grain > size_bytes * MAX_RATIO:
            yield BOMB.found(where, count=self._grains, grain=grain, size=size_bytes)
        tables = self._tables * self._header.table_entries * 4
        claimed = tables + (0 if self._header.compression else self._grains * grain)
        if claimed > size_bytes + 2 * grain and byte < size_bytes:
            yield SHARED.found(where, claimed=claimed, size=size_bytes)


def _entries(piece: bytes) -> "NDArray[uint32]":
    import numpy as np

    return np.frombuffer(piece[: len(piece) // 4 * 4], dtype="<u4").astype(np.uint32)

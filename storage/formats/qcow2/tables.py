"""L1 and L2 tables of a qcow2 image, judged as they pass: every cluster must lie in the file, whole and only once.

An L1 entry points to an L2 table, an L2 entry to a cluster of guest data (bits 9-55) or, with bit 62, to compressed
data: their place, and above it the number of further sectors of 512 bytes that they reach into. qemu reads zeros past
the end of the file, so a conversion would not notice a truncated image. And qcow2 never shares clusters within one
table: entries that claim more than the file holds are meant to blow up when written out.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from catalog.records import Finding
from storage.formats.qcow2.edge import Edge
from storage.formats.qcow2.header import Header
from storage.formats.regions import Regions
from storage.formats.rules import Rule
from storage.formats.scan import Scan

if TYPE_CHECKING:
    from numpy import int64, uint64
    from numpy.typing import NDArray

OFFSET_MASK = 0x00FFFFFFFFFFFE00
COMPRESSED, ZERO = 1 << 62, 1
L1_PIECE = 1 << 20
MAX_RATIO = (1100, 5000)
"""By compression type: zlib is limited to 1:1032, zstd to about 1:4300 on 64 KiB; more means shared clusters."""

OUTSIDE = Rule("qcow2.truncated", "clusters up to byte {end} are used, the file has {size}; it is truncated", version=2)
UNALIGNED = Rule("qcow2.unaligned", "the entry {entry:#x} is not aligned to clusters")
SHARED = Rule(
    "qcow2.shared-clusters",
    "the tables claim {claimed} bytes of clusters, the file has {size}: clusters are used more than once",
)
BOMB = Rule("qcow2.bomb", "{count} compressed clusters of {cluster} bytes can't come out of {size} bytes of file")


class TableScan(Scan):
    """Sums over all L2 tables of one image. Memory: one L1 piece, one L2 table, and 8 bytes per snapshot table."""

    def __init__(self, header: Header, limit: int) -> None:
        """limit: largest virtual size allowed, bytes; tables beyond it are not examined."""
        self._header = header
        self._allowed = header.virtual_bytes <= limit
        self._furthest = (0, 0)  # (end offset, place of the entry)
        self._tables = self._data = self._compressed = 0
        self._unaligned: tuple[int, int] | None = None  # (entry, its place)
        self._edge = Edge(header)
        self._remainder = header.size_bytes % header.cluster_bytes  # of the guest's disk, in its last cluster
        self._last_table = 0  # the L2 table that has this cluster
        self._seen: set[int] = set()
        self._regions: Regions | None = None

    def begin(self, regions: Regions) -> None:
        """Request the L1 table, each L2 table as it becomes known, and the refcount table."""
        if not self._allowed:
            return
        self._regions = regions
        self._want_pieces(self._header.l1_offset, self._header.l1_needed * 8, self._take_l1)
        counts = self._header.refcount_clusters * self._header.cluster_bytes
        self._want_pieces(self._header.refcount_offset, counts, self._take_pointers)

    def add_snapshot(self, l1_offset: int, entries: int) -> None:
        """Also examine the tables of an internal snapshot, which shares most of them with the current disk."""
        self._want_pieces(l1_offset, entries * 8, self._take_snapshot)

    def add_bitmap(self, table_offset: int, entries: int) -> None:
        """Also examine the table of a bitmap."""
        self._furthest = max(self._furthest, (table_offset + entries * 8, table_offset))
        self._want_pieces(table_offset, entries * 8, self._take_pointers)

    def look(self, regions: Regions) -> None:
        """Request the compressed data at the end of the file, now that all tables were seen."""
        self._edge.look(regions)

    def _want_pieces(self, start: int, size: int, take: Callable[[int, bytes], None]) -> None:
        for piece in range(start, start + size, L1_PIECE):
            if self._regions is not None:
                self._regions.want((piece,), min(L1_PIECE, start + size - piece), take)

    def _take_l1(self, start: int, piece: bytes) -> None:
        entries = _entries(piece)
        last = (self._header.l1_needed - 1) * 8 + self._header.l1_offset - start
        if 0 <= last < len(piece) - 7:
            self._last_table = int(entries[last // 8]) & OFFSET_MASK
        used = entries[(entries & OFFSET_MASK) != 0] & OFFSET_MASK
        self._tables += len(used)
        aligned = self._tables_at(used, start)
        self._seen.update(aligned.tolist())
        if len(aligned) and self._regions is not None and not self._overclaimed(self._regions):
            self._regions.want(aligned, self._header.cluster_bytes, self._take_l2)

    def _take_snapshot(self, start: int, piece: bytes) -> None:
        import numpy as np

        entries = _entries(piece) & OFFSET_MASK
        aligned = self._tables_at(entries[entries != 0], start)
        fresh = np.array([at for at in aligned.tolist() if at not in self._seen], dtype="int64")
        self._seen.update(fresh.tolist())
        if len(fresh) and self._regions is not None:
            self._regions.want(fresh, self._header.cluster_bytes, self._take_snapshot_l2)

    def _take_pointers(self, start: int, piece: bytes) -> None:
        entries = _entries(piece) & OFFSET_MASK
        self._tables_at(entries[entries != 0], start)

    def _tables_at(self, offsets: "NDArray[uint64]", where: int) -> "NDArray[int64]":
        """Record that each of these clusters must lie whole in the file; return the places of the aligned ones."""
        import numpy as np

        offsets = np.unique(offsets)
        self._note(offsets, where)
        self._reach(offsets, self._header.cluster_bytes, where)
        aligned: NDArray[int64] = offsets[offsets % self._header.cluster_bytes == 0].astype("int64")
        return aligned

    def _overclaimed(self, regions: Regions) -> bool:
        """Tell whether further reads would only repeat the same file: it is refused anyway."""
        return regions.ended and self._tables * self._header.cluster_bytes > regions.size_bytes

    def _take_l2(self, start: int, piece: bytes) -> None:
        entries = _entries(piece)
        plain = entries[(entries & COMPRESSED) == 0] & OFFSET_MASK
        self._data += int((plain != 0).sum())
        self._compressed += int(((entries & COMPRESSED) != 0).sum())
        self._take_clusters(entries, start, self._header.cluster_bytes)

    def _take_snapshot_l2(self, start: int, piece: bytes) -> None:
        # Which of them is the last of a snapshot's disk is not determined.
        self._take_clusters(_entries(piece), start, self._remainder or self._header.cluster_bytes)

    def _take_clusters(self, entries: "NDArray[uint64]", start: int, whole: int) -> None:
        """Record how far the clusters of one table reach, each `whole` bytes.

        For a cluster that reads as zeros only the start counts.
        """
        compressed = entries[(entries & COMPRESSED) != 0]
        plain = (entries & COMPRESSED) == 0
        self._note(entries[plain & ((entries & OFFSET_MASK) != 0)] & OFFSET_MASK, start)
        zeros = plain & ((entries & ZERO) != 0)
        self._reach(entries[zeros] & OFFSET_MASK, 1, start)
        stored = plain & ~zeros & ((entries & OFFSET_MASK) != 0)
        if self._remainder and start == self._last_table:
            last = self._header.size_bytes // self._header.cluster_bytes % (self._header.cluster_bytes // 8)
            self._reach(entries[last : last + 1][stored[last : last + 1]] & OFFSET_MASK, self._remainder, start)
            stored[last : last + 1] = False
        self._reach(entries[stored] & OFFSET_MASK, whole, start)
        self._edge.note(compressed, start)

    def _note(self, offsets: "NDArray[uint64]", where: int) -> None:
        crooked = offsets[offsets % self._header.cluster_bytes != 0]
        if len(crooked) and self._unaligned is None:
            self._unaligned = int(crooked[0]), where

    def _reach(self, offsets: "NDArray[uint64]", length: int, where: int) -> None:
        if len(offsets):
            self._furthest = max(self._furthest, (int(offsets.max()) + length, where))

    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:  # noqa: ARG002  # it looked within the limit
        """Judge the sums."""
        cluster, size_bytes = self._header.cluster_bytes, regions.size_bytes
        byte, where = max(self._furthest, self._edge.reach(size_bytes))
        if byte > size_bytes:
            yield OUTSIDE.found(where, end=byte, size=size_bytes)
        if self._unaligned is not None:
            yield UNALIGNED.found(self._unaligned[1], entry=self._unaligned[0])
        claimed = (self._tables + self._data) * cluster
        if claimed > size_bytes + 2 * cluster and byte <= size_bytes:
            yield SHARED.found(self._header.l1_offset, claimed=claimed, size=size_bytes)
        if self._compressed * cluster > size_bytes * MAX_RATIO[self._header.compression]:
            yield BOMB.found(self._header.l1_offset, count=self._compressed, cluster=cluster, size=size_bytes)


def _entries(piece: bytes) -> "NDArray[uint64]":
    import numpy as np

    return np.frombuffer(piece[: len(piece) // 8 * 8], dtype=">u8").astype(np.uint64)

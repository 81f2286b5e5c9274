"""The L1 and L2 tables of a qcow2 image, judged as they pass: do all clusters lie in the file, and only once.

An L1 entry points to an L2 table, an L2 entry to a cluster of guest data (bits 9-55) or, with bit 62, to compressed data.
qemu reads clusters past the end of the file as zeros, so a truncated image would pass a conversion unseen. And qcow2 never
shares clusters within one table: entries that claim more than the file holds are made to blow up when written out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.records import Finding
from storage.formats.qcow2_header import Header
from storage.formats.regions import Regions
from storage.formats.rules import Rule

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

OFFSET_MASK = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
L1_PIECE = 1 << 20
MAX_RATIO = (1100, 5000)
"""By compression type: zlib can't do better than 1:1032, zstd about 1:4300 on 64 KiB; more says that clusters are shared."""

OUTSIDE = Rule(
    "qcow2.truncated", 1, "error", "clusters up to byte {end} are used, the file has {size}; it is truncated"
)
UNALIGNED = Rule("qcow2.unaligned", 1, "error", "the entry {entry:#x} is not aligned to clusters")
SHARED = Rule(
    "qcow2.shared-clusters",
    1,
    "error",
    "the tables claim {claimed} bytes of clusters, the file has {size}: clusters are used more than once",
)
BOMB = Rule(
    "qcow2.bomb",
    1,
    "error",
    "{count} compressed clusters of {cluster} bytes can't come out of {size} bytes of file",
)


class TableScan:
    """Sums over all L2 tables of one image. Memory: one L1 piece and one L2 table."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._furthest = (0, 0)  # (byte, where the entry lies)
        self._tables = self._data = self._compressed = 0
        self._unaligned: tuple[int, int] | None = None  # (entry, where it lies)
        self._regions: Regions | None = None

    def begin(self, regions: Regions) -> None:
        """Ask for the L1 table, and for each L2 table as it becomes known."""
        self._regions = regions
        start, end = self._header.l1_offset, self._header.l1_offset + self._header.l1_needed * 8
        for piece in range(start, end, L1_PIECE):
            regions.want((piece,), min(L1_PIECE, end - piece), self._take_l1)

    def _take_l1(self, start: int, piece: bytes) -> None:
        import numpy as np

        entries = _entries(piece)
        used = entries[(entries & np.uint64(OFFSET_MASK)) != 0]
        offsets = np.unique(used & np.uint64(OFFSET_MASK))
        self._tables += len(used)
        self._note(offsets, start)
        aligned = offsets[offsets % np.uint64(self._header.cluster_bytes) == 0]
        if len(aligned) and self._regions is not None and not self._overclaimed(self._regions):
            self._regions.want(aligned.astype("int64"), self._header.cluster_bytes, self._take_l2)

    def _overclaimed(self, regions: Regions) -> bool:
        """Tell whether reading on would only read the same file again and again: it is refused anyway."""
        return regions.ended and self._tables * self._header.cluster_bytes > regions.size_bytes

    def _take_l2(self, start: int, piece: bytes) -> None:
        import numpy as np

        entries = _entries(piece)
        compressed = entries[(entries & np.uint64(COMPRESSED)) != 0]
        plain = entries[(entries & np.uint64(COMPRESSED)) == 0] & np.uint64(OFFSET_MASK)
        plain = plain[plain != 0]
        self._data += len(plain)
        self._compressed += len(compressed)
        self._note(plain, start)
        if len(compressed):
            bits = 62 - (self._header.cluster_bits - 8)
            self._reach(int((compressed & np.uint64((1 << bits) - 1)).max()), start)

    def _note(self, offsets: "NDArray[uint64]", where: int) -> None:
        import numpy as np

        if not len(offsets):
            return
        self._reach(int(offsets.max()), where)
        crooked = offsets[offsets % np.uint64(self._header.cluster_bytes) != 0]
        if len(crooked) and self._unaligned is None:
            self._unaligned = int(crooked[0]), where

    def _reach(self, byte: int, where: int) -> None:
        self._furthest = max(self._furthest, (byte, where))

    def findings(self, size_bytes: int) -> Iterator[Finding]:
        """Judge the sums. size_bytes: of the whole file."""
        cluster = self._header.cluster_bytes
        byte, where = self._furthest
        if byte >= size_bytes:
            yield OUTSIDE.found(where, end=byte, size=size_bytes)
        if self._unaligned is not None:
            yield UNALIGNED.found(self._unaligned[1], entry=self._unaligned[0])
        claimed = (self._tables + self._data) * cluster
        if claimed > size_bytes + 2 * cluster and byte < size_bytes:
            yield SHARED.found(self._header.l1_offset, claimed=claimed, size=size_bytes)
        if self._compressed * cluster > size_bytes * MAX_RATIO[self._header.compression]:
            yield BOMB.found(self._header.l1_offset, count=self._compressed, cluster=cluster, size=size_bytes)


def _entries(piece: bytes) -> "NDArray[uint64]":
    import numpy as np

    return np.frombuffer(piece[: len(piece) // 8 * 8], dtype=">u8").astype(np.uint64)

"""Check that the compressed clusters at the end of a qcow2 file are complete.

An entry names the sectors that the packed data reach into, not their last byte. Writers pad the file to a sector. If
one did not, the data that reach into the file's last, partial sector are unpacked: only that shows whether a byte is
missing.
"""

from typing import TYPE_CHECKING

from storage.formats.blocks import MalformedDisk
from storage.formats.qcow2.disk import unpacker
from storage.formats.qcow2.header import SECTOR, Header
from storage.formats.regions import PIECE, Regions

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

MAX_PENDING = 128
"""Clusters that may reach into the last sector; 512 bytes have room for about 40 of the smallest."""


class Edge:
    """The compressed data that reach furthest. Memory: a few numbers, and once two clusters."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._place_bits = 62 - (header.cluster_bits - 8)
        self._end, self._where = 0, 0
        self._places: set[int] = set()  # of the data that reach into the sector before `end`
        self._whole = False

    def note(self, entries: "NDArray[uint64]", where: int) -> None:
        """Take the compressed entries of the table at `where`."""
        import numpy as np

        if not len(entries):
            return
        place = entries & ((1 << self._place_bits) - 1)
        sectors = (entries & ((1 << 62) - 1)) >> np.uint64(self._place_bits)
        ends = (place // SECTOR + sectors + 1) * SECTOR
        end = int(ends.max())
        if end > self._end:
            self._end, self._where, self._places = end, where, set()
        if end == self._end and len(self._places) <= MAX_PENDING:
            self._places.update(np.unique(place[ends == end])[: MAX_PENDING + 1].tolist())

    def look(self, regions: Regions) -> None:
        """Request the data that reach into a partial last sector of a file that has ended."""
        size = regions.size_bytes
        first = min(self._places, default=size)
        broken = size < self._end < size + SECTOR and first < size
        if broken and size - first <= PIECE and len(self._places) <= MAX_PENDING:
            regions.want((first,), size - first, self._take)

    def _take(self, start: int, data: bytes) -> None:
        unpack = unpacker(self._header)
        try:
            sizes = [len(unpack(data[place - start :])) for place in self._places]
        except MalformedDisk:
            return
        self._whole = all(size == self._header.cluster_bytes for size in sizes)

    def reach(self, size_bytes: int) -> tuple[int, int]:
        """Return (end of the data, place of their table) for a file of this size."""
        return (min(self._end, size_bytes) if self._whole else self._end), self._where

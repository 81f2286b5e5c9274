"""Which clusters of a qcow2 file can go straight to their place in the guest's disk while the file arrives.

A qcow2 file is metadata and clusters; most clusters are the guest's bytes unchanged. In a file written by qemu every
table precedes the clusters that it maps, so the place of a cluster in the guest's disk is known when it arrives. Such a
cluster is *moved*: written there and nowhere else, so that conversion copies nothing. The file can still be read back
byte for byte: which clusters were moved is a pure function of the file's tables and their order, so it is not recorded.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage.ceph.layout import OBJECT_BYTES, QCOW2_MAGIC
from storage.formats.qcow2.header import COMPRESSION, DIRTY, HEADER_V3, Header, read_header

OFFSET, COMPRESSED, ZERO = 0x00FFFFFFFFFFFE00, 1 << 62, 1
MIN_CLUSTER_BITS, MAX_CLUSTER_BITS = 16, 21  # smaller clusters are rare, and not worth their tables
MAX_L1_ENTRIES = 4 << 20
MAX_GUEST_BYTES = 64 << 40
STAYS = -1

Places = npt.NDArray[np.int32]


class Moved(NamedTuple):
    """Bytes [start, end) of an object of the file that belong at `guest` in the guest's disk."""

    start: int
    end: int
    guest: int


def unfoldable(head: bytes | memoryview) -> Header | None:
    """Return the header of a file whose clusters may be moved, or None: the file is then stored as it is."""
    if bytes(head[:4]) != QCOW2_MAGIC:
        return None
    header = read_header(bytes(head[: HEADER_V3 + 8]))
    if header is None or not MIN_CLUSTER_BITS <= header.cluster_bits <= MAX_CLUSTER_BITS:
        return None
    plain = not (header.backing_offset or header.crypt_method or header.snapshots)
    features = not header.incompatible & ~(DIRTY | COMPRESSION)
    small = 0 < header.l1_entries <= MAX_L1_ENTRIES and 0 < header.size_bytes <= MAX_GUEST_BYTES
    aligned = header.l1_offset % header.cluster_bytes == 0
    return header if plain and features and small and aligned else None


class Placement:
    """Learns from tables, as they pass in order, where the clusters after them belong."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.cluster_bytes = header.cluster_bytes
        self._l1 = bytearray(header.l1_entries * 8)
        self._l1_end = header.l1_offset + len(self._l1)
        self._tables: dict[int, int] = {}  # host cluster of an L2 table → its index
        self._places: Places = np.full(1024, STAYS, np.int32)  # host cluster → guest cluster

    def feed(self, index: int, block: memoryview) -> None:
        """Take object `index` of the file; objects come in order, and those without a table may be left out."""
        start = index * OBJECT_BYTES
        self._take_l1(start, block)
        first, count = start // self.cluster_bytes, len(block) // self.cluster_bytes
        for cluster in range(first, first + count) if self._tables else ():
            if cluster in self._tables:
                at = cluster * self.cluster_bytes - start
                self._take_table(self._tables[cluster], block[at : at + self.cluster_bytes], first)

    def moved(self, index: int, length: int) -> list[Moved]:
        """Return the moved ranges of object `index`, adjacent clusters joined; call after `feed` of that object."""
        first, count = index * OBJECT_BYTES // self.cluster_bytes, length // self.cluster_bytes
        runs: list[Moved] = []
        for number, guest in enumerate(self._places[first : first + count].tolist()):
            if guest == STAYS:
                continue
            start, place = number * self.cluster_bytes, guest * self.cluster_bytes
            last = runs[-1] if runs else None
            if last and last.end == start and last.guest + last.end - last.start == place:
                start, place = runs.pop().start, last.guest
            runs.append(Moved(start, (number + 1) * self.cluster_bytes, place))
        return runs

    def objects_with_tables(self) -> tuple[int, ...]:
        """Return the objects of the file that hold the L1 table or the L2 tables known so far, in order."""
        first, last = self.header.l1_offset // OBJECT_BYTES, (self._l1_end - 1) // OBJECT_BYTES
        tables = {cluster * self.cluster_bytes // OBJECT_BYTES for cluster in self._tables}
        return tuple(sorted(tables | set(range(first, last + 1))))

    def moved_guest_clusters(self, file_bytes: int) -> npt.NDArray[np.bool_]:
        """Return for every cluster of the guest's disk whether it was moved once `file_bytes` had arrived."""
        moved = np.zeros(-(-self.header.size_bytes // self.cluster_bytes), np.bool_)
        places = self._places[: file_bytes // self.cluster_bytes]
        moved[places[places != STAYS]] = True
        return moved

    def split(self, host: int, guest: int, length: int, file_bytes: int) -> list[tuple[int, int, bool]]:
        """Cut `length` bytes, at `host` in the file and `guest` in the disk, into (start, end, moved) of the disk."""
        size = self.cluster_bytes
        if (host | guest) % size:
            return [(guest, guest + length, False)]
        first, count, known = host // size, -(-length // size), file_bytes // size
        there = np.zeros(count, np.bool_)
        places = self._places[first : min(first + count, known)]
        there[: len(places)] = places == np.arange(guest // size, guest // size + len(places), dtype=np.int32)
        cuts = [0, *(np.flatnonzero(np.diff(there)) + 1).tolist(), count]
        return [(guest + a * size, min(guest + b * size, guest + length), bool(there[a])) for a, b in pairwise(cuts)]

    def _take_l1(self, start: int, block: memoryview) -> None:
        first, last = max(start, self.header.l1_offset), min(start + len(block), self._l1_end)
        if first >= last:
            return
        at = first - self.header.l1_offset
        self._l1[at : at + last - first] = block[first - start : last - start]
        if last == self._l1_end:
            self._learn_tables()

    def _learn_tables(self) -> None:
        entries = np.frombuffer(self._l1, ">u8").astype(np.uint64) & np.uint64(OFFSET)
        for table in np.flatnonzero(entries).tolist():
            offset = int(entries[table])
            if offset % self.cluster_bytes == 0:
                self._tables.setdefault(offset // self.cluster_bytes, table)

    def _take_table(self, table: int, data: memoryview, first: int) -> None:
        """Record the places of clusters from host cluster `first` on. The first table to name a cluster owns it."""
        entries = np.frombuffer(data, ">u8").astype(np.uint64)
        hosts = ((entries & np.uint64(OFFSET)) >> np.uint64(self.header.cluster_bits)).astype(np.int64)
        guests = np.arange(len(entries), dtype=np.int64) + table * len(entries)
        aligned = (entries & np.uint64(OFFSET) & np.uint64(self.cluster_bytes - 1)) == 0
        plain = (entries & np.uint64(COMPRESSED | ZERO)) == 0
        if (entries & np.uint64(COMPRESSED)).any():
            return  # its few plain clusters would only fragment what qemu-img compares afterwards
        whole = (guests + 1) * self.cluster_bytes <= self.header.size_bytes
        usable = aligned & plain & whole & (hosts >= max(first, 1)) & (hosts < 1 << 31) & (guests < 1 << 31)
        self._note(hosts[usable], guests[usable])

    def _note(self, hosts: npt.NDArray[np.int64], guests: npt.NDArray[np.int64]) -> None:
        if not len(hosts):
            return
        hosts, chosen = np.unique(hosts, return_index=True)
        guests = guests[chosen]
        near = hosts < self._reach()
        hosts, guests = hosts[near], guests[near]
        self._make_room(int(hosts[-1]) + 1 if len(hosts) else 0)
        free = (self._places[hosts] == STAYS) & ~np.isin(hosts, self._kept_in_place())
        self._places[hosts[free]] = guests[free].astype(np.int32)

    def _reach(self) -> int:
        """Return a bound for host clusters: no honest file is much larger than its disk."""
        return 2 * self.header.size_bytes // self.cluster_bytes + (1 << 16)

    def _kept_in_place(self) -> npt.NDArray[np.int64]:
        """Return the clusters that must stay findable without any other knowledge: the tables."""
        first, last = self.header.l1_offset // self.cluster_bytes, (self._l1_end - 1) // self.cluster_bytes
        return np.array([*range(first, last + 1), *self._tables], np.int64)

    def _make_room(self, count: int) -> None:
        if count > len(self._places):
            grown = np.full(max(count, 2 * len(self._places)), STAYS, np.int32)
            grown[: len(self._places)] = self._places
            self._places = grown

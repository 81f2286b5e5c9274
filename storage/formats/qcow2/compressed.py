"""The places of the clusters in a compressed qcow2 file, from its tables, sorted by file offset."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.formats.blocks import Bytes
from storage.formats.qcow2.header import HEADER_V3, Header, read_header
from storage.formats.qcow2.tables import COMPRESSED, OFFSET_MASK, ZERO

MOST_CLUSTERS = 1 << 20  # 64 GiB of contents in clusters of 64 KiB; 20 MiB of memory
LARGEST_L1 = 1 << 16  # entries: 32 TiB in clusters of 64 KiB
SECTOR = 512


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The n clusters of a file.

    guest: (n,), numbers in the guest's disk. start: (n,), bytes. room: (n,), most bytes. packed: (n,), whether
    compressed; incompressible clusters are stored as they are.
    """

    header: Header
    guest: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]
    packed: npt.NDArray[np.bool_]

    @property
    def codec(self) -> str:
        """The compression codec."""
        return "zstd" if self.header.compression == 1 else "zlib"


def compressed_clusters(source: Bytes) -> Clusters | None:
    """Return the clusters of a file, each start once; None if it is not compressed or has too many."""
    head = source.read_at(0, HEADER_V3 + 8)
    header = read_header(head) if head[:4] == b"QFI\xfb" else None
    if header is None or not 9 <= header.cluster_bits <= 21 or header.l1_entries > LARGEST_L1:
        return None
    entries = header.cluster_bytes // 8
    guests: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    found: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    count = 0
    for number, place in enumerate(_entries(source, header.l1_offset, header.l1_entries) & OFFSET_MASK):
        if place:
            table = _entries(source, int(place), entries)
            stored = ((table & OFFSET_MASK) != 0) & ((table & ZERO) == 0)
            at = np.flatnonzero(((table & COMPRESSED) != 0) | stored)
            guests.append(number * entries + at)
            found.append(table[at])
            count += len(at)
            if count > MOST_CLUSTERS:
                return None
    return _in_file_order(header, np.concatenate(guests), np.concatenate(found))


def _entries(source: Bytes, place: int, count: int) -> npt.NDArray[np.uint64]:
    data = source.read_at(place, count * 8)
    return np.frombuffer(data[: len(data) // 8 * 8], ">u8").astype(np.uint64)


def _in_file_order(header: Header, guest: npt.NDArray[np.int64], entry: npt.NDArray[np.uint64]) -> Clusters:
    bits = 62 - (header.cluster_bits - 8)
    packed = (entry & COMPRESSED) != 0
    descriptor = entry & np.uint64(COMPRESSED - 1)
    plain_start = (entry & OFFSET_MASK).astype(np.int64)
    start = np.where(packed, (descriptor & np.uint64((1 << bits) - 1)).astype(np.int64), plain_start)
    sectors = ((descriptor >> np.uint64(bits)).astype(np.int64) + 1) * SECTOR - start % SECTOR
    room = np.where(packed, np.minimum(sectors, 2 * header.cluster_bytes), header.cluster_bytes)
    order = np.argsort(start, kind="stable")
    guest, start, room, packed = guest[order], start[order], room[order], packed[order]
    once = np.concatenate([np.ones(min(1, len(start)), np.bool_), start[1:] != start[:-1]])
    return Clusters(header, guest[once], start[once], room[once], packed[once])

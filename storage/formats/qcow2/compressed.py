"""Where the compressed clusters of a qcow2 file lie: by its tables, sorted by their place in the file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.formats.blocks import Bytes
from storage.formats.qcow2.header import HEADER_V3, Header, read_header
from storage.formats.qcow2.tables import COMPRESSED, OFFSET_MASK

MOST_CLUSTERS = 1 << 20  # 64 GiB of contents in clusters of 64 KiB; 20 MiB of memory
LARGEST_L1 = 1 << 16  # entries: 32 TiB in clusters of 64 KiB
SECTOR = 512


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Of n compressed clusters: guest (n,) their numbers in the guest's disk, start (n,) bytes, room (n,) bytes at most."""

    header: Header
    guest: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]

    @property
    def codec(self) -> str:
        """What they are compressed with."""
        return "zstd" if self.header.compression == 1 else "zlib"


def compressed_clusters(source: Bytes) -> Clusters | None:
    """Return the compressed clusters of a file, none of which overlap; None where it is no such file, or has too many."""
    head = source.read_at(0, HEADER_V3 + 8)
    header = read_header(head) if head[:4] == b"QFI\xfb" else None
    if header is None or not 9 <= header.cluster_bits <= 21 or header.l1_entries > LARGEST_L1:
        return None
    entries = header.cluster_bytes // 8
    guests: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    descriptors: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    count = 0
    for number, place in enumerate(_entries(source, header.l1_offset, header.l1_entries) & OFFSET_MASK):
        if place:
            table = _entries(source, int(place), entries)
            at = np.flatnonzero(table & COMPRESSED)
            guests.append(number * entries + at)
            descriptors.append(np.bitwise_and(table[at], np.uint64(COMPRESSED - 1)))
            count += len(at)
            if count > MOST_CLUSTERS:
                return None
    return _in_file_order(header, np.concatenate(guests), np.concatenate(descriptors))


def _entries(source: Bytes, place: int, count: int) -> npt.NDArray[np.uint64]:
    data = source.read_at(place, count * 8)
    return np.frombuffer(data[: len(data) // 8 * 8], ">u8").astype(np.uint64)


def _in_file_order(header: Header, guest: npt.NDArray[np.int64], descriptor: npt.NDArray[np.uint64]) -> Clusters:
    bits = 62 - (header.cluster_bits - 8)
    start = (descriptor & np.uint64((1 << bits) - 1)).astype(np.int64)
    room = ((descriptor >> np.uint64(bits)).astype(np.int64) + 1) * SECTOR - start % SECTOR
    order = np.argsort(start, kind="stable")
    guest, start, room = guest[order], start[order], room[order]
    once = np.concatenate([np.ones(min(1, len(start)), np.bool_), start[1:] != start[:-1]])
    return Clusters(header, guest[once], start[once], np.minimum(room[once], 2 * header.cluster_bytes))

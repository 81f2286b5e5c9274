"""The guest's disk in a qcow2 file, compressed clusters included. See `header.py` for the layout."""

import struct
import zlib
from collections.abc import Callable

from storage.formats.blocks import Bytes, Cache, MalformedDisk, pieces
from storage.formats.qcow2.header import HEADER_V3, Header, read_header

_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED, _ZERO = 1 << 62, 1
_WINDOW_BITS = -12  # as qemu writes: raw deflate, 4 KiB window


class Qcow2Disk:
    """Reads clusters through L1 and L2 tables."""

    def __init__(self, source: Bytes) -> None:
        header = read_header(source.read_at(0, HEADER_V3 + 8))
        if header is None or not 9 <= header.cluster_bits <= 21:
            raise MalformedDisk("the qcow2 header is damaged")
        self._source, self._header = source, header
        self.size_bytes = header.size_bytes
        self._unpack = unpacker(header)
        self._l2_entries = header.cluster_bytes // 8
        self._tables: Cache[bytes] = Cache(16, self._read_table)
        self._unpacked: Cache[bytes] = Cache(max((8 << 20) >> header.cluster_bits, 2), self._read_compressed)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of the guest's disk from `offset`, fewer only at the end."""
        cut = pieces(offset, size, self.size_bytes, self._header.cluster_bytes)
        return b"".join(self._cluster(number, start, end) for number, start, end in cut)

    def hole_end(self, offset: int) -> int:
        """Return the end of the hole at `offset`, or `offset` if data is stored there. May stop short of the end."""
        number = offset // self._header.cluster_bytes
        table, index = divmod(number, self._l2_entries)
        place = self._table_place(table)
        while place and index < self._l2_entries and self._is_hole(place, index):
            index += 1
        number = table * self._l2_entries + (index if place else self._l2_entries)
        return max(offset, min(number * self._header.cluster_bytes, self.size_bytes))

    def _is_hole(self, place: int, index: int) -> bool:
        entry = int(struct.unpack_from(">Q", self._tables.get(place), index * 8)[0])
        return not entry & _COMPRESSED and (not entry & _OFFSET or bool(entry & _ZERO))

    def _table_place(self, table: int) -> int:
        if table >= self._header.l1_entries:
            return 0
        return self._number(self._header.l1_offset + table * 8) & _OFFSET

    def _cluster(self, number: int, start: int, end: int) -> bytes:
        entry = self._entry(number)
        if entry & _COMPRESSED:
            return self._unpacked.get(entry & (_COMPRESSED - 1))[start:end]
        place = entry & _OFFSET
        if not place or entry & _ZERO:
            return bytes(end - start)
        return self._source.read_at(place + start, end - start).ljust(end - start, b"\0")

    def _entry(self, number: int) -> int:
        table, index = divmod(number, self._l2_entries)
        place = self._table_place(table)
        return int(struct.unpack_from(">Q", self._tables.get(place), index * 8)[0]) if place else 0

    def _number(self, place: int) -> int:
        return int.from_bytes(self._source.read_at(place, 8).ljust(8, b"\0"), "big")

    def _read_table(self, place: int) -> bytes:
        size = self._header.cluster_bytes
        return self._source.read_at(place, size).ljust(size, b"\0")

    def _read_compressed(self, descriptor: int) -> bytes:
        bits = 62 - (self._header.cluster_bits - 8)
        place = descriptor & ((1 << bits) - 1)
        packed = ((descriptor >> bits) + 1) * 512 - place % 512
        data = self._source.read_at(place, min(packed, 2 * self._header.cluster_bytes))
        return self._unpack(data).ljust(self._header.cluster_bytes, b"\0")


def unpacker(header: Header) -> Callable[[bytes], bytes]:
    """Return the function that unpacks one cluster.

    It raises MalformedDisk, and returns fewer bytes if its input ends early.
    """
    size = header.cluster_bytes
    if header.compression == 1:
        from backports.zstd import ZstdDecompressor, ZstdError

        def zstd(data: bytes) -> bytes:
            try:
                return ZstdDecompressor().decompress(data, size)
            except ZstdError as error:
                raise MalformedDisk("a compressed cluster is damaged") from error

        return zstd

    def deflate(data: bytes) -> bytes:
        try:
            return zlib.decompressobj(_WINDOW_BITS).decompress(data, size)
        except zlib.error as error:
            raise MalformedDisk("a compressed cluster is damaged") from error

    return deflate

"""The guest's disk in a sparse VMDK file, compressed grains included. See `header.py` for the layout."""

import struct
import zlib

from storage.formats.blocks import Bytes, Cache, MalformedDisk, pieces
from storage.formats.vmdk.header import AT_END, COMPRESSED, HEADER_BYTES, MARKERS, SECTOR, read_footer, read_header

_ZERO_GRAIN = 1


class VmdkDisk:
    """Reads grains through the grain directory and its tables."""

    def __init__(self, source: Bytes) -> None:
        header = read_header(source.read_at(0, HEADER_BYTES))
        if header is not None and header.directory == AT_END:
            header = read_footer(source.read_at(max(source.size_bytes - 1536, 0), 1536))
        if header is None or not 1 <= header.grain <= 128 << 10 or header.table_entries != 512:
            raise MalformedDisk("the VMDK header is damaged")
        self._source, self._header = source, header
        self.size_bytes = header.size_bytes
        self._grain_bytes = header.grain * SECTOR
        self._tables: Cache[bytes] = Cache(256, self._read_table)
        self._unpacked: Cache[bytes] = Cache(max((8 << 20) // self._grain_bytes, 2), self._read_compressed)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of the guest's disk from `offset`, fewer only at the end."""
        cut = pieces(offset, size, self.size_bytes, self._grain_bytes)
        return b"".join(self._grain(number, start, end) for number, start, end in cut)

    def hole_end(self, offset: int) -> int:
        """Return the end of the hole at `offset`, or `offset` if data is stored there. May stop short of the end."""
        entries = self._header.table_entries
        table, index = divmod(offset // self._grain_bytes, entries)
        place = self._number(self._header.directory * SECTOR + table * 4)
        while place and index < entries and self._sector(place, index) <= _ZERO_GRAIN:
            index += 1
        number = table * entries + (index if place else entries)
        return max(offset, min(number * self._grain_bytes, self.size_bytes))

    def _sector(self, place: int, index: int) -> int:
        return int(struct.unpack_from("<I", self._tables.get(place), index * 4)[0])

    def _grain(self, number: int, start: int, end: int) -> bytes:
        table, index = divmod(number, self._header.table_entries)
        place = self._number(self._header.directory * SECTOR + table * 4)
        sector = self._sector(place, index) if place else 0
        if sector <= _ZERO_GRAIN:
            return bytes(end - start)
        if self._header.flags & COMPRESSED:
            return self._unpacked.get(sector)[start:end]
        return self._source.read_at(sector * SECTOR + start, end - start).ljust(end - start, b"\0")

    def _number(self, place: int) -> int:
        return int.from_bytes(self._source.read_at(place, 4).ljust(4, b"\0"), "little")

    def _read_table(self, sector: int) -> bytes:
        size = self._header.table_entries * 4
        return self._source.read_at(sector * SECTOR, size).ljust(size, b"\0")

    def _read_compressed(self, sector: int) -> bytes:
        marked = 12 if self._header.flags & MARKERS else 0
        data = self._source.read_at(sector * SECTOR, 2 * self._grain_bytes + SECTOR)[marked:]
        try:
            return zlib.decompressobj().decompress(data, self._grain_bytes).ljust(self._grain_bytes, b"\0")
        except zlib.error as error:
            raise MalformedDisk("a compressed grain is damaged") from error

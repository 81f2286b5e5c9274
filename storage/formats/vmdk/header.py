"""The header of a sparse VMDK file, and its copy at the end.

Virtual Disk Format 5.0 (VMware); what qemu reads of it: block/vmdk.c. All numbers little-endian, sectors of 512 bytes.

   0 magic 4     4 version 4    8 flags 4    12 capacity 8 (sectors)   20 grain size 8 (sectors)
  28 descriptor offset 8 (sectors)   36 descriptor size 8 (sectors)   44 entries per grain table 4
  48 redundant directory 8   56 grain directory 8 (sectors; all ones: see the footer)   64 overhead 8
  72 unclean 1   73 line-end check 4   77 compression 2
"""

import struct
from dataclasses import dataclass

SECTOR = 512
HEADER_BYTES = 79
AT_END = (1 << 64) - 1
REDUNDANT, COMPRESSED, MARKERS = 1 << 1, 1 << 16, 1 << 17  # flags


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a sparse header; offsets and sizes in sectors."""

    version: int
    flags: int
    capacity: int
    grain: int
    descriptor_offset: int
    descriptor_size: int
    table_entries: int
    redundant_directory: int
    directory: int
    overhead: int
    compression: int

    @property
    def size_bytes(self) -> int:
        """Virtual size."""
        return self.capacity * SECTOR

    @property
    def tables(self) -> int:
        """Number of grain tables that the capacity needs. Only meaningful when the geometry is allowed."""
        return -(-self.capacity // (self.grain * self.table_entries))


def read_header(data: bytes) -> Header | None:
    """Parse a header or footer, or return None if the bytes end inside it."""
    if len(data) < HEADER_BYTES:
        return None
    return Header(*struct.unpack_from("<IIQQQQIQQQ5xH", data, 4))


def read_footer(tail: bytes) -> Header | None:
    """Parse the footer of a streamOptimized file, between its marker and the end-of-stream marker."""
    markers = tail[-1536:]
    if len(markers) < 1536 or markers[512:516] != b"KDMV":
        return None
    _value, size, kind = struct.unpack_from("<QII", markers)
    closed = not any(markers[1024:]) and not any(markers[16:512])
    return read_header(markers[512:1024]) if (size, kind) == (0, 3) and closed else None

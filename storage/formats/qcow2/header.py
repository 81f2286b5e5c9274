"""The header of a qcow2 file.

https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt   All numbers big-endian.

   0 magic 4      4 version 4         8 backing offset 8   16 backing size 4   20 cluster bits 4
  24 size 8      32 crypt method 4   36 L1 entries 4       40 L1 offset 8      48 refcount offset 8
  56 refcount clusters 4             60 snapshots 4        64 snapshots offset 8
  72 incompatible 8   80 compatible 8   88 autoclear 8   96 refcount order 4   100 header length 4   104 compression 1
"""

import struct
from dataclasses import dataclass

SECTOR = 512
HEADER_V2, HEADER_V3 = 72, 104
DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = 1, 2, 4, 8, 16
KNOWN_FEATURES = DIRTY | CORRUPT | COMPRESSION


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a qcow2 header; version 2 has the defaults of version 3."""

    version: int
    backing_offset: int
    backing_size: int
    cluster_bits: int
    size_bytes: int
    crypt_method: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    refcount_order: int = 4
    header_length: int = HEADER_V2
    compression: int = 0

    @property
    def cluster_bytes(self) -> int:
        """Size of one cluster. Only meaningful when `cluster_bits` is allowed."""
        return 1 << self.cluster_bits

    @property
    def virtual_bytes(self) -> int:
        """Size of the guest's disk in whole sectors, as in qemu."""
        return self.size_bytes // SECTOR * SECTOR

    @property
    def l1_needed(self) -> int:
        """Number of L1 entries, each for one L2 table, that the virtual size needs."""
        covered = self.cluster_bytes * (self.cluster_bytes // 8)
        return -(-self.size_bytes // covered)


def read_header(head: bytes) -> Header | None:
    """Parse the header, or return None if the file ends inside it."""
    if len(head) < HEADER_V2:
        return None
    fields = struct.unpack_from(">IQIIQIIQQIIQ", head, 4)
    if fields[0] < 3:
        return Header(*fields)
    if len(head) < HEADER_V3:
        return None
    incompatible, _, _, order, length = struct.unpack_from(">QQQII", head, 72)
    compression = head[104] if length > 104 and len(head) > 104 else 0
    return Header(*(*fields, incompatible, order, length, compression))

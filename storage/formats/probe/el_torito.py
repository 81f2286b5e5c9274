"""The boot catalog of an ISO: which firmware finds a boot image in it, and where.

"El Torito" Bootable CD-ROM Format Specification 1.0; UEFI 2.10 section 13.3.2. Entries of 32 bytes, little-endian.
"""

import struct
from dataclasses import dataclass

from storage.formats.disk import Bytes

SECTOR = 2048
BIOS, EFI = 0x00, 0xEF
MAX_ENTRIES = 64
_SPECIFICATION = b"EL TORITO SPECIFICATION"


@dataclass(frozen=True, slots=True)
class BootEntry:
    """One bootable entry. start: bytes."""

    platform: int
    start: int


def read_entries(disk: Bytes) -> tuple[BootEntry, ...]:
    """Return the bootable entries; none where there is no boot record or its catalog is damaged."""
    for sector in range(16, 32):
        record = disk.read_at(sector * SECTOR, SECTOR)
        if len(record) < SECTOR or record[1:6] != b"CD001" or record[0] == 255:
            return ()
        if record[0] == 0 and record[7:30] == _SPECIFICATION:
            catalog = struct.unpack_from("<I", record, 0x47)[0] * SECTOR
            return tuple(_read_catalog(disk.read_at(catalog, MAX_ENTRIES * 32)))
    return ()


def _read_catalog(catalog: bytes) -> list[BootEntry]:
    entries = [catalog[i : i + 32] for i in range(0, len(catalog) - 31, 32)]
    if not entries or entries[0][0] != 1 or entries[0][30:32] != b"\x55\xaa":
        return []
    platform, found = entries[0][1], []
    for entry in entries[1:]:
        if entry[0] in (0x90, 0x91):
            platform = entry[1]
        elif entry[0] == 0x88:
            found.append(BootEntry(platform, struct.unpack_from("<I", entry, 8)[0] * SECTOR))
    return found

"""The boot catalog of an ISO: the boot image for each firmware, and its place.

"El Torito" Bootable CD-ROM Format Specification 1.0; UEFI 2.10 section 13.3.2. Entries of 32 bytes, little-endian.
"""

import struct
from dataclasses import dataclass

from storage.formats.blocks import Bytes

SECTOR = 2048
BIOS, EFI = 0x00, 0xEF
MAX_ENTRIES = 64
_SPECIFICATION = b"EL TORITO SPECIFICATION"


@dataclass(frozen=True, slots=True)
class BootEntry:
    """One bootable entry. start, and size_bytes that firmware loads at once: bytes. place: of the entry in the catalog."""

    platform: int
    start: int
    size_bytes: int = 0
    place: int = 0


def read_entries(disk: Bytes) -> tuple[BootEntry, ...]:
    """Return the bootable entries; none if there is no boot record or its catalog is damaged."""
    for sector in range(16, 32):
        record = disk.read_at(sector * SECTOR, SECTOR)
        if len(record) < SECTOR or record[1:6] != b"CD001" or record[0] == 255:
            return ()
        if (catalog := catalog_place(record)) is not None:
            return tuple(read_catalog(disk.read_at(catalog, MAX_ENTRIES * 32)))
    return ()


def catalog_place(record: bytes) -> int | None:
    """Return the catalog's offset in bytes as a boot record states it; None for any other descriptor."""
    if record[0] != 0 or record[1:6] != b"CD001" or record[7:30] != _SPECIFICATION:
        return None
    return int(struct.unpack_from("<I", record, 0x47)[0]) * SECTOR


def read_catalog(catalog: bytes) -> list[BootEntry]:
    """Return the bootable entries of a catalog; none if it is damaged."""
    entries = [catalog[i : i + 32] for i in range(0, len(catalog) - 31, 32)]
    if not entries or entries[0][0] != 1 or entries[0][30:32] != b"\x55\xaa":
        return []
    platform, found = entries[0][1], []
    for number, entry in enumerate(entries[1:], 1):
        if entry[0] in (0x90, 0x91):
            platform = entry[1]
        elif entry[0] == 0x88:
            count, start = struct.unpack_from("<HI", entry, 6)
            found.append(BootEntry(platform, start * SECTOR, count * 512, number * 32))
    return found

"""Partition tables and BIOS boot code.

MBR: code in bytes 0-439, four entries of 16 bytes at 446 (0 active 0x80, 4 type, 8 first sector 4, 12 sectors 4), 55 AA at 510.
GPT: UEFI 2.10 chapter 5; see `storage/formats/raw/rules.py` for the offsets.
"""

import struct
from dataclasses import dataclass

from storage.formats.blocks import Bytes
from storage.formats.signatures import protective

ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
BIOS_BOOT = (
    bytes.fromhex("4861682149646f6e744e656564454649"),  # "Hah!IdontNeedEFI": GRUB's
    bytes.fromhex("9d6bbd83417fdc11be0b001560b84f0f"),  # FreeBSD's boot code
)
LEGACY_BOOTABLE = 1 << 2  # GPT attribute that syslinux' gptmbr looks for
MAX_PARTITIONS, MAX_LOGICAL = 128, 64
_EXTENDED = (0x05, 0x0F, 0x85)
_LOADERS = (b"GRUB", b"SYSLINUX", b"isolinux", b"LILO", b"Missing operating system", b"BOOTMGR", b"NTLDR")
_SEEKING = (b"Missing operating system", b"Invalid partition table", b"No boot partition", b"Missing GPT")
_REFUSALS = (b"This is not a bootable disk", b"not a bootable disk", b"Non-System disk")


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the disk, in bytes."""

    start: int
    size_bytes: int
    is_esp: bool = False
    is_bios_boot: bool = False
    active: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The partition table of a disk; without one, the whole disk is a single part."""

    kind: str  # gpt, mbr, none
    partitions: tuple[Partition, ...]


def read_table(disk: Bytes) -> Table:
    """Find the partition table, GPT first: a protective MBR is no table of its own."""
    mbr = disk.read_at(0, 512)
    for sector in (512, 4096):
        gpt = _read_gpt(disk, sector) if protective(mbr) else ()
        if gpt:
            return Table("gpt", gpt)
    partitions = _read_mbr(disk, mbr) if is_boot_sector(mbr) and not _is_volume(mbr) else ()
    return Table("mbr", partitions) if partitions else Table("none", (Partition(0, disk.size_bytes),))


def is_boot_sector(sector: bytes) -> bool:
    """Tell whether a BIOS would jump into this sector."""
    return sector[510:512] == b"\x55\xaa"


def boots_by_bios(disk: Bytes, table: Table) -> bool | None:
    """Tell whether the boot code in the first sector leads anywhere; None: it is nobody's that is known here.

    Formatting tools leave a signature, and often code that only prints "not bootable": neither counts. Nor does known code that
    looks for a partition to go on with, where there is none.
    """
    sector = disk.read_at(0, 512)
    code = sector[:440]
    if not is_boot_sector(sector) or not any(code[3:] if code[:1] == b"\xeb" else code):
        return False
    if any(text in sector for text in _REFUSALS):
        return False
    if any(text in code for text in _LOADERS[:4]):
        return True
    if table.kind == "none":
        return _is_volume(sector) is False or any(text in sector for text in _LOADERS)
    hybrid = _read_mbr(disk, sector) if table.kind == "gpt" else ()  # a BIOS goes by the MBR beside the GPT
    if any(_leads_on(disk, partition) for partition in (*table.partitions, *hybrid)):
        return True
    return False if any(text in code for text in _SEEKING) else None


def _leads_on(disk: Bytes, partition: Partition) -> bool:
    first = disk.read_at(partition.start, 512)
    if partition.is_bios_boot:
        return any(first)
    return partition.active and is_boot_sector(first) and any(first[90:440]) and not any(t in first for t in _REFUSALS)


def _is_volume(sector: bytes) -> bool:
    """Tell a file system's first sector from an MBR: both end in 55 AA."""
    return (
        sector[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-")
        or sector[0x36:0x39] == b"FAT"
        or sector[0x52:0x55] == b"FAT"
    )


def _read_gpt(disk: Bytes, sector: int) -> tuple[Partition, ...]:
    header = disk.read_at(sector, 92)
    if len(header) < 92 or not header.startswith(b"EFI PART"):
        return ()
    at, count, length = struct.unpack_from("<QII", header, 72)
    if not 128 <= length <= 4096 or at > disk.size_bytes // sector:
        return ()
    table = disk.read_at(at * sector, min(count, MAX_PARTITIONS) * length)
    entries = (table[i : i + 56] for i in range(0, len(table) - 127, length))
    return tuple(_gpt_partition(entry, sector) for entry in entries if any(entry[:16]))


def _gpt_partition(entry: bytes, sector: int) -> Partition:
    kind = entry[:16]
    first, last, attributes = struct.unpack_from("<QQQ", entry, 32)
    return Partition(
        start=first * sector,
        size_bytes=max(last - first + 1, 0) * sector,
        is_esp=kind == ESP,
        is_bios_boot=kind in BIOS_BOOT,
        active=bool(attributes & LEGACY_BOOTABLE),
    )


def _read_mbr(disk: Bytes, sector: bytes) -> tuple[Partition, ...]:
    found: list[Partition] = []
    for active, kind, first, count in _entries(sector):
        if kind in _EXTENDED:
            found += _read_logical(disk, first)
        elif kind and count and kind != 0xEE:
            found.append(Partition(first * 512, count * 512, kind == 0xEF, active=active == 0x80))
    return tuple(found)


def _read_logical(disk: Bytes, extended: int) -> list[Partition]:
    found: list[Partition] = []
    at, seen = extended, {0}
    while at not in seen and len(found) < MAX_LOGICAL:
        seen.add(at)
        sector = disk.read_at(at * 512, 512)
        if not is_boot_sector(sector):
            break
        (_, kind, first, count), (_, _, following, _) = _entries(sector)[:2]
        if kind and count:
            found.append(Partition((at + first) * 512, count * 512, kind == 0xEF))
        at = extended + following if following else 0
    return found


def _entries(sector: bytes) -> list[tuple[int, int, int, int]]:
    return [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * i) for i in range(4)]

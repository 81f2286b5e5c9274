"""Contents that make a raw file a disk, from its first byte on: partition tables, file systems, volumes.

Offsets are from the start of the file; a negative one counts from its end. Two bytes alone are not enough: a volume of
random bytes would match them once in 65,536.
"""

import struct
from collections.abc import Callable, Iterator

from catalog.records import Finding
from storage.formats.rules import Rule
from storage.formats.signatures import partition_table, protective

CONTENTS = (
    ("a GPT", 512, b"EFI PART"),
    ("a GPT", 4096, b"EFI PART"),
    ("an Amiga partition table", 0, b"RDSK"),
    ("an SGI partition table", 0, b"\x0b\xe5\xa9\x41"),
    ("an AIX partition table", 0, b"\xc9\xc2\xd4\xc1"),
    ("an Apple partition table", 512, b"PM\0\0"),
    ("a BSD partition table", 0, b"\x57\x45\x56\x82"),
    ("a BSD partition table", 512, b"\x57\x45\x56\x82"),
    ("an s390 volume label", 4, b"\xe5\xd6\xd3\xf1"),
    ("an s390 volume label", 4096, b"\xe5\xd6\xd3\xf1"),
    ("an XFS file system", 0, b"XFSB"),
    ("an NTFS file system", 3, b"NTFS    "),
    ("an exFAT file system", 3, b"EXFAT   "),
    ("a ReFS file system", 3, b"ReFS\0\0\0\0"),
    ("a BitLocker volume", 3, b"-FVE-FS-"),
    ("a FAT file system", 0x36, b"FAT12   "),
    ("a FAT file system", 0x36, b"FAT16   "),
    ("a FAT file system", 0x52, b"FAT32   "),
    ("a Btrfs file system", 0x10040, b"_BHRfS_M"),
    ("an F2FS file system", 1024, b"\x10\x20\xf5\xf2"),
    ("an HFS+ file system", 1024, b"H+\0\4"),
    ("an HFS+ file system", 1024, b"HX\0\5"),
    ("an APFS container", 32, b"NXSB"),
    ("a ReiserFS file system", 0x10034, b"ReIsEr"),
    ("a JFS file system", 0x8000, b"JFS1"),
    ("a UFS file system", 8192 + 1372, b"\x19\x01\x54\x19"),
    ("a UFS file system", 8192 + 1372, b"\x54\x19\x01\x19"),
    ("a UFS file system", 65536 + 1372, b"\x19\x01\x54\x19"),
    ("a GFS2 file system", 65536, b"\x01\x16\x19\x70"),
    ("an OCFS2 file system", 4096, b"OCFSV2"),
    ("an OCFS2 file system", 2048, b"OCFSV2"),
    ("a VMFS volume", 0x100000, b"\x0d\xd0\x01\xc0"),
    ("an Oracle ASM disk", 32, b"ORCLDISK"),
    ("a Ceph BlueStore device", 0, b"bluestore block device"),
    ("an LVM physical volume", 0x018, b"LVM2 001"),
    ("an LVM physical volume", 0x218, b"LVM2 001"),
    ("an LVM physical volume", 0x418, b"LVM2 001"),
    ("an LVM physical volume", 0x618, b"LVM2 001"),
    ("a Linux RAID member", 0, b"\xfc\x4e\x2b\xa9"),
    ("a Linux RAID member", 4096, b"\xfc\x4e\x2b\xa9"),
    ("a bcache or bcachefs device", 4120, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    ("a VDO volume", 0, b"dmvdo001"),
    ("a swap area", 4086, b"SWAPSPACE2"),
    ("a swap area", 4086, b"SWAP-SPACE"),
    ("a swap area", 65526, b"SWAPSPACE2"),
    ("a GELI volume", -512, b"GEOM::ELI"),
    ("a GEOM mirror member", -512, b"GEOM::MIRROR"),
    ("a SquashFS file system", 0, b"hsqs"),
    ("an EROFS file system", 1024, b"\xe2\xe1\xf5\xe0"),
    ("a cramfs file system", 0, b"\x45\x3d\xcd\x28"),
    ("a romfs file system", 0, b"-rom1fs-"),
    ("a LUKS volume", 0, b"LUKS\xba\xbe"),
)
SECTOR = 512
LOCKED = ("a LUKS volume", "a BitLocker volume")
READ_ONLY = ("a SquashFS file system", "an EROFS file system", "a cramfs file system", "a romfs file system")

ENCRYPTED = Rule(
    "file.encrypted",
    "the bytes are {name}, encrypted; whether it is whole and what is inside can't be told, and nothing boots from it",
    severity="warning",
    version=2,
)
NO_WRITING = Rule(
    "raw.read-only",
    "the bytes are {name}, as live media and packages hold; a VM can mount it, but never write to it or boot from it",
    severity="warning",
)
FILE_SYSTEM_SHORT = Rule(
    "raw.filesystem-truncated", "the bytes are {name} of {end} bytes, the file has {size}; it is truncated"
)
VOLUME_SHORT = Rule(
    "raw.volume-truncated",
    "the bytes are {name} of {end} bytes, the file has {size}; it may be truncated",
    severity="warning",
)  # only a warning: trailing sectors without files are sometimes left out


def content(head: bytes, tail: bytes) -> str | None:
    """Name the contents that make the bytes a disk, or return None if nothing is recognised.

    head, tail: the first and last bytes of the file, 1 MiB and 4 KiB if the file has them.
    """
    if partition_table(head) or protective(head):
        return "a partition table"
    if _ext_bytes(head):
        return "an ext file system"
    for name, at, magic in CONTENTS:
        if head.startswith(magic, at) if at >= 0 else tail[at:].startswith(magic):
            return name
    if _zfs(head):
        return "a ZFS volume"
    return "a boot sector" if _boot_sector(head) else None


def findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge whether a file system that fills the whole disk is complete, and warn of contents we can't read."""
    name = content(head, b"")
    if name in LOCKED:
        yield ENCRYPTED.found(0, name=name)
    if name in READ_ONLY:
        yield NO_WRITING.found(0, name=name)
    if name in _SIZES:
        rule, end = _SIZES[name]
        needed = end(head) if len(head) >= SECTOR else SECTOR  # none of them states its size in less
        if needed > size_bytes:
            yield rule.found(0, name=name, end=needed, size=size_bytes)


def _ext_bytes(head: bytes) -> int:
    """Return the size of an ext2, ext3 or ext4, 0 if there is none: its magic has only two bytes."""
    if len(head) < 2048 or head[1080:1082] != b"\x53\xef":
        return 0
    inodes, blocks = struct.unpack_from("<II", head, 1024)
    (log_block,) = struct.unpack_from("<I", head, 1048)
    (revision,) = struct.unpack_from("<I", head, 1100)
    (incompatible,) = struct.unpack_from("<I", head, 1120)
    (high,) = struct.unpack_from("<I", head, 1360)
    if not inodes or log_block > 6 or revision > 1:
        return 0
    return int((blocks | (high << 32 if incompatible & 0x80 else 0)) * (1024 << log_block))


def _xfs_bytes(head: bytes) -> int:
    block, blocks = struct.unpack_from(">IQ", head, 4)
    return int(block * blocks)


def _btrfs_bytes(head: bytes) -> int:
    """Return the bytes of this device that the file system uses; it may span others."""
    return int(struct.unpack_from("<Q", head, 0x10000 + 0xC9 + 8)[0]) if len(head) > 0x10200 else 0


def _ntfs_bytes(head: bytes) -> int:
    sector, sectors = struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<Q", head, 40)[0]
    return int(sector * sectors)


def _fat_bytes(head: bytes) -> int:
    (sector, small), (large,) = (
        (struct.unpack_from("<H", head, 11)[0], struct.unpack_from("<H", head, 19)[0]),
        struct.unpack_from("<I", head, 32),
    )
    return int(sector * (small or large))


def _squashfs_bytes(head: bytes) -> int:
    return int(struct.unpack_from("<Q", head, 40)[0]) if len(head) >= 96 else 0


_SIZES: dict[str, tuple[Rule, Callable[[bytes], int]]] = {
    "an ext file system": (FILE_SYSTEM_SHORT, _ext_bytes),
    "an XFS file system": (FILE_SYSTEM_SHORT, _xfs_bytes),
    "a Btrfs file system": (FILE_SYSTEM_SHORT, _btrfs_bytes),
    "a SquashFS file system": (FILE_SYSTEM_SHORT, _squashfs_bytes),
    "an NTFS file system": (VOLUME_SHORT, _ntfs_bytes),
    "a FAT file system": (VOLUME_SHORT, _fat_bytes),
}


def _zfs(head: bytes) -> bool:
    """Recognise a ZFS label: a list of names and values in XDR at 16 KiB."""
    label = head[0x4000:0x4100]
    return label[:2] == b"\x01\x01" and b"\0\0\0\x07version\0" in label


def _boot_sector(head: bytes) -> bool:
    """Recognise a first sector that a BIOS would jump into; a Linux kernel has one for historical reasons."""
    return head[510:512] == b"\x55\xaa" and any(head[:440]) and head[0x202:0x206] != b"HdrS"

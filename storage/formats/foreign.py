"""Formats that are recognised and refused: other disk formats, and packed files that should have been unpacked.

To allow one, add a file with its rules, a value in `catalog.records.ImageFormat`, and a conversion.
"""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule

DISK = Rule(
    "file.foreign-format",
    "the bytes are {name}, which is not accepted; convert it to qcow2 with qemu-img convert and add that",
)
PACKED = Rule("file.packed", "the bytes are {name}, not a disk image; unpack it and add what is inside")
POLYGLOT = Rule(
    "file.polyglot",
    "the bytes are {first} and also {second} (at byte {other}); what is read would depend on who reads it",
)

DISKS = {
    "qed": "a QED disk",
    "vhd": "a VHD disk",
    "vhdx": "a VHDX disk",
    "vdi": "a VirtualBox VDI disk",
    "parallels": "a Parallels disk",
    "bochs": "a Bochs disk",
    "cloop": "a cloop disk",
    "dmg": "an Apple DMG disk",
}
PACKINGS = {
    "gzip": "gzip-compressed",
    "xz": "xz-compressed",
    "zstd": "zstd-compressed",
    "bzip2": "bzip2-compressed",
    "lz4": "lz4-compressed",
    "zip": "a zip archive",
    "7z": "a 7z archive",
    "wim": "a Windows WIM archive",
    "tar": "a tar or OVA archive",
}


def findings(detected: str, offset: int) -> Iterator[Finding]:
    """Refuse a format that is not one of ours, with its own sentence."""
    if detected in DISKS:
        yield DISK.found(offset, name=DISKS[detected])
    elif detected in PACKINGS:
        yield PACKED.found(offset, name=PACKINGS[detected])

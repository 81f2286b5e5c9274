"""Kinds of file that are no disk, recognised by their first bytes: files that people mistake for an image.

Each has advice on what to do. They apply only to files that would otherwise count as raw. Offsets are from the start of
the file; a negative one counts from its end.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from catalog.records import Finding
from storage.formats.rules import Rule

OTHER = Rule("file.other-kind", "the file is {name}, not a disk image; {advice}")
NAMED = Rule(
    "file.libmagic",
    "the file is not a disk image: libmagic takes it for '{name}'; look for the image beside it or inside",
)

UNPACK = "unpack it and add the disk that is inside"
RESTORE = "restore it with the program that made it and add the disk"
CONVERT = "convert it to raw or qcow2 with the program that it belongs to and add that"
WRONG = "look for the image beside it"


class Kind(NamedTuple):
    """A kind of file: its name, where its magic lies, and what to do about it."""

    name: str
    offset: int
    magic: bytes
    advice: str


KINDS = (
    # archives and packed files
    Kind("a RAR archive", 0, b"Rar!\x1a\x07", UNPACK),
    Kind("a Microsoft Cabinet (.cab)", 0, b"MSCF\0\0\0\0", UNPACK),
    Kind("an InstallShield cabinet", 0, b"ISc(", UNPACK),
    Kind("an lzop-compressed file (LZO)", 0, b"\x89LZO\0\r\n\x1a\n", "unpack it with lzop -d and add what is inside"),
    Kind("an lzip-compressed file", 0, b"LZIP\1", UNPACK),
    Kind("an lrzip-compressed file", 0, b"LRZI", UNPACK),
    Kind("a Snappy-compressed file", 0, b"\xff\x06\0\0sNaPpY", UNPACK),
    Kind("an empty zip archive", 0, b"PK\5\6", WRONG),
    Kind("a part of a zip archive", 0, b"PK\7\x08", UNPACK),
    Kind("a cpio archive, as an initrd or initramfs is", 0, b"070701", WRONG),
    Kind("a cpio archive, as an initrd or initramfs is", 0, b"070702", WRONG),
    Kind("a cpio archive", 0, b"070707", UNPACK),
    Kind("a Debian package (.deb)", 0, b"!<arch>\ndebian", UNPACK),
    Kind("an ar archive", 0, b"!<arch>\n", UNPACK),
    Kind("an RPM package", 0, b"\xed\xab\xee\xdb", UNPACK),
    Kind("a XAR archive, as macOS packages are", 0, b"xar!", UNPACK),
    Kind("an Apple pbzx archive", 0, b"pbzx\0", UNPACK),
    Kind("an ACE archive", 7, b"**ACE**", UNPACK),
    Kind("an LHA archive", 2, b"-lh5-", UNPACK),
    Kind("a Zoo archive", 20, b"\xdc\xa7\xc4\xfd", UNPACK),
    Kind("an lz4-compressed file of the old kind", 0, b"\x02\x21\x4c\x18", "unpack it with lz4 -d and add what is inside"),
    Kind("an LHA archive", 2, b"-lh0-", UNPACK),
    Kind("an LHA archive", 2, b"-lh6-", UNPACK),
    Kind("an LHA archive", 2, b"-lh7-", UNPACK),
    Kind("a Nix archive", 8, b"nix-archive-1\0\0\0", UNPACK),
    Kind("a file encrypted with age", 0, b"age-encryption.org/v1\n", "decrypt it with age -d and add what is inside"),
    Kind("a casync archive or index", 0, b"\x59\x4e\x88\xa7\x5c\x29\x0b\x13", RESTORE),
    # other vendors' disks, backups and saved machines
    Kind("a Proxmox VE backup (VMA)", 0, b"VMA\0\0\0\0\1", "unpack it with vma extract and add the disk that is inside"),
    Kind("an Android sparse image", 0, b"\x3a\xff\x26\xed", "unfold it with simg2img and add that"),
    Kind("an Android boot image", 0, b"ANDROID!", WRONG),
    Kind("an Android boot image", 0, b"VNDRBOOT", WRONG),
    Kind("an Android or Chrome OS update", 0, b"CrAU\0", UNPACK),
    Kind("an EWF (EnCase .E01, Expert Witness) image", 0, b"EVF\x09\r\n\xff\0", "export it as raw with ewfexport and add that"),
    Kind("an EWF (EnCase .Ex01) image", 0, b"EVF2\r\n\x81\0", "export it as raw with ewfexport and add that"),
    Kind("an EWF (EnCase .L01) image", 0, b"LVF\x09\r\n\xff\0", WRONG),
    Kind("an AFF image", 0, b"AFF10\r\n\0", "convert it to raw with affconvert and add that"),
    Kind("a Partclone image, as Clonezilla writes them", 0, b"partclone-image", "restore it with partclone.restore and add the disk"),
    Kind("a Partimage image", 0, b"PaRtImAgE-VoLuMe", RESTORE),
    Kind("an FSArchiver archive", 0, b"FsArCh", RESTORE),
    Kind("an ntfsclone image", 0, b"\0ntfsclone-image", "restore it with ntfsclone --restore-image and add the disk"),
    Kind("a Norton Ghost image", 0, b"\xfe\xef\x01\x01", RESTORE),
    Kind("a Norton Ghost image", 0, b"\xfe\xef\x01\x02", RESTORE),
    Kind("an Acronis True Image backup", 0, b"\xce\x24\xb9\xa2", RESTORE),
    Kind("a Macrium Reflect backup", -12, b"MACRIUM_FILE", RESTORE),
    Kind("an ADIOS or raw BLKTAP disk of Xen", 0, b"tapdisk", CONVERT),
    Kind("a QEMU COW disk", 0, b"OOOM\0\0\0\2", "convert it to qcow2 with an old qemu-img and add that"),
    Kind("an MAME hard disk (CHD)", 0, b"MComprHD", "unpack it with chdman extractraw and add that"),
    Kind("an Apple sparse image", 0, b"sprs\0\0", "convert it with hdiutil and add that"),
    Kind("a Ceph RBD export", 0, b"rbd image v", "import it with rbd import, export it without --export-format 2 and add that"),
    Kind("a Ceph RBD diff", 0, b"rbd diff v", "import it with rbd import-diff, export the whole image and add that"),
    Kind("a Btrfs send stream", 0, b"btrfs-stream\0", "receive it with btrfs receive"),
    Kind("a ZFS send stream", 8, b"\xac\xcb\xba\xf5\2\0\0\0", "receive it with zfs receive"),
    Kind("the saved memory of a libvirt machine (virsh save)", 0, b"LibvirtQemudSave", WRONG),
    Kind("the saved memory of a libvirt machine, unfinished", 0, b"LibvirtQemudPart", WRONG),
    Kind("the saved memory of a Xen machine", 0, b"LinuxGuestRecord", WRONG),
    Kind("the saved memory of a Xen machine", 0, b"XenSavedDomain", WRONG),
    Kind("the saved memory of a QEMU machine", 0, b"QEVM\0\0\0\3", WRONG),
    Kind("the saved memory of a VMware machine", 0, b"\xd0\xbe\xd2\xbe", WRONG),
    Kind("the saved memory of a VMware machine", 0, b"\xd2\xbe\xd2\xbe", WRONG),
    Kind("the saved memory of a VMware machine", 0, b"\xd3\xbe\xd3\xbe", WRONG),
    Kind("the saved memory of a VMware machine", 0, b"\xd1\xba\xd1\xba", WRONG),
    Kind("the saved state of a VirtualBox machine", 0, b"\x7fVirtualBox SavedState V", WRONG),
    Kind("the saved memory of a machine (LiME)", 0, b"EMiL\1\0\0\0", WRONG),
    Kind("a hibernation file of Windows", 0, b"HIBR", WRONG),
    Kind("a hibernation file of Windows", 0, b"hibr", WRONG),
    Kind("a kernel dump", 0, b"makedumpfile\0\0\0\0", WRONG),
    Kind("a kernel dump", 0, b"KDUMP   ", WRONG),
    Kind("an SE sparse disk of VMware ESXi", 0, b"\xbe\xba\xfe\xca\0\0\0\0", "convert it with vmkfstools -i and add that"),
    Kind("an encrypted Apple disk", 0, b"encrcdsa\0\0\0\2", "convert it with hdiutil and add that"),
    Kind("a Windows backup (.bkf)", 0, b"TAPE\0\0", RESTORE),
    Kind("a PowerISO image (.daa)", 0, b"DAA\0\0\0\0\0", "convert it to ISO and add that"),
    Kind("a Nero CD image", -8, b"NERO", "convert it to ISO and add that"),
    Kind("a Nero CD image", -12, b"NER5", "convert it to ISO and add that"),
    Kind("a CD image of raw sectors (.bin)", 0, b"\0" + b"\xff" * 10 + b"\0", "convert it to ISO with bchunk and add that"),
    Kind("an Alcohol CD description (.mds)", 0, b"MEDIA DESCRIPTOR", WRONG),
    # firmware and boards' boot files
    Kind("a U-Boot image (uImage)", 0, b"\x27\x05\x19\x56", WRONG),
    Kind("a device tree or U-Boot FIT image", 0, b"\xd0\x0d\xfe\xed", WRONG),
    Kind("a UBI flash image", 0, b"UBI#\1", CONVERT),
    Kind("a UBIFS flash image", 0, b"\x31\x18\x10\x06", CONVERT),
    Kind("a TRX firmware", 0, b"HDR0", WRONG),
    Kind("a firmware volume of UEFI", 40, b"_FVH", WRONG),
    Kind("a Linux kernel", 0x202, b"HdrS", WRONG),
    Kind("a Linux kernel for Arm", 56, b"ARMd", WRONG),
    # programs, packages and documents
    Kind("a program (ELF)", 0, b"\x7fELF", WRONG),
    Kind("a program (Mach-O)", 0, b"\xcf\xfa\xed\xfe", WRONG),
    Kind("a program (Mach-O)", 0, b"\xca\xfe\xba\xbe\0\0\0", WRONG),
    Kind("a Flatpak bundle", 0, b"flatpak\0", WRONG),
    Kind("a Windows installer (.msi) or Office document", 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", WRONG),
    Kind("a PDF document", 0, b"%PDF-", WRONG),
    Kind("a PostScript document", 0, b"%!PS", WRONG),
    Kind("a picture (PNG)", 0, b"\x89PNG\r\n\x1a\n", WRONG),
    Kind("a picture (JPEG)", 0, b"\xff\xd8\xff\xe0", WRONG),
    Kind("a picture (JPEG)", 0, b"\xff\xd8\xff\xe1", WRONG),
    Kind("a picture (GIF)", 0, b"GIF8", WRONG),
    Kind("a SQLite database", 0, b"SQLite format 3\0", WRONG),
    Kind("a network capture", 0, b"\xd4\xc3\xb2\xa1", WRONG),
    Kind("a BitTorrent file", 0, b"d8:announce", "download what it describes with a BitTorrent client and add that"),
    Kind("a BitTorrent file", 0, b"d13:announce-list", "download what it describes with a BitTorrent client and add that"),
    Kind("a BitTorrent file", 0, b"d4:infod", "download what it describes with a BitTorrent client and add that"),
    Kind("a BitTorrent file", 0, b"d10:created by", "download what it describes with a BitTorrent client and add that"),
    Kind("a BitTorrent file", 0, b"d13:creation date", "download what it describes with a BitTorrent client and add that"),
    Kind("a BitTorrent file", 0, b"d7:comment", "download what it describes with a BitTorrent client and add that"),
    Kind("a zsync file", 0, b"zsync: ", "fetch what it describes with zsync and add that"),
)  # fmt: skip


def findings(head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Refuse a file of another kind, in a sentence that names it. tail: the last 4 KiB, empty if not known yet."""
    for kind in KINDS:
        at = kind.offset
        if head.startswith(kind.magic, at) if at >= 0 else tail[at:].startswith(kind.magic):
            yield OTHER.found(at if at >= 0 else size_bytes + at, name=kind.name, advice=kind.advice)
            return
    for name, told, advice in _SHAPES:
        if told(head, size_bytes):
            yield OTHER.found(0, name=name, advice=advice)
            return


def _old_tar(head: bytes, _: int) -> bool:
    """Recognise a tar archive without the ustar mark by its first header's checksum of 8 octal digits."""
    if len(head) < 512 or not head[0]:
        return False
    said = head[148:156].strip(b" \0")
    if not said or not set(said) <= set(b"01234567") or not set(head[100:108]) <= set(b"01234567 \0"):
        return False
    return int(said, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


def _pe_program(head: bytes, _: int) -> bool:
    if head[:2] != b"MZ" or len(head) < 64:
        return False
    at = struct.unpack_from("<I", head, 60)[0]
    return head[at : at + 4] == b"PE\0\0"


def _openpgp_signature(head: bytes, size_bytes: int) -> bool:
    """Recognise a binary OpenPGP signature: one packet that fills the file."""
    if len(head) < 12 or size_bytes > 1 << 16:
        return False
    header = {0x88: 2, 0x89: 3, 0xC2: 3 if head[1] >= 192 else 2}.get(head[0], 0)
    if head[0] == 0xC2:
        length = ((head[1] - 192) << 8) + head[2] + 192 if head[1] >= 192 else head[1]
    else:
        length = int.from_bytes(head[1:header], "big")
    return bool(header) and header + length == size_bytes and head[header] in (3, 4, 5, 6)


def _server_answer(head: bytes, _: int) -> bool:
    """Recognise a file saved together with the headers of the answer that it came with, as `curl -i` does."""
    return re.match(rb"HTTP/\d(\.\d)? \d{3}[ \r\n]", head) is not None


def _form(head: bytes, _: int) -> bool:
    """Recognise the body of an upload by a form that a server kept as it came."""
    return head.startswith(b"------") and re.match(rb"-{6,}\w+\r\nContent-Disposition: form-data;", head) is not None


def _script(head: bytes, _: int) -> bool:
    """Recognise a script followed by data, as Makeself writes them; one without is a text."""
    return re.match(rb"#! ?/[ -~]{1,200}\n", head) is not None and b"\0" in head


_SHAPES = (
    (
        "a server's answer with its headers, as curl -i saves it",
        _server_answer,
        "fetch it without the headers and add that",
    ),
    ("the body of an upload by a form", _form, "add the file that was uploaded, without what the form put around it"),
    ("a script with data behind it", _script, "run it if it unpacks an image, and add that"),
    ("a tar archive of the old kind", _old_tar, UNPACK),
    ("a program for Windows or UEFI (.exe, .efi)", _pe_program, WRONG),
    ("an OpenPGP signature", _openpgp_signature, "it belongs to the image beside it: add that"),
)

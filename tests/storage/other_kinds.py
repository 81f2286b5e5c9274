"""Files of other kinds that people add as a raw disk: each in its smallest form, and a word that its refusal must have."""

import io
import random
import struct
import tarfile
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIZE = 64 << 10


@dataclass(frozen=True, slots=True)
class Mistaken:
    """A file that is no disk, and what the sentence that refuses it says of it."""

    name: str
    says: str
    content: bytes

    def __str__(self) -> str:
        return self.name


def followed(head: bytes, size: int = SIZE) -> bytes:
    """Return a file that begins so and goes on with noise, as packed data do."""
    return head + random.Random(len(head)).randbytes(size - len(head))


def binaries() -> Iterator[Mistaken]:
    """Yield archives, packages, other people's disks, saved machines, firmware, programs and documents."""
    for name, says, head in (
        ("rar-5", "RAR", b"Rar!\x1a\x07\x01\x00"),
        ("rar-4", "RAR", b"Rar!\x1a\x07\x00"),
        ("cabinet", "Cabinet", b"MSCF\0\0\0\0" + struct.pack("<IIII", SIZE, 0, 44, 0)),
        ("lzop", "lzop", b"\x89LZO\0\r\n\x1a\n\x10\x40"),
        ("lzip", "lzip", b"LZIP\x01\x0c"),
        ("7z", "7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
        ("zip-empty", "zip", b"PK\5\6" + bytes(18)),
        ("initrd-newc", "initrd", b"07070100000001000041ed"),
        ("initrd-crc", "initrd", b"07070200000001000041ed"),
        ("cpio-odc", "cpio", b"0707070000010000010407550000000000000000020000001467777777700000200000000000"),
        ("deb", "Debian package", b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n2.0\n"),
        ("static-library", "ar archive", b"!<arch>\n/               0           0     0     0       4         `\n"),
        ("rpm", "RPM", b"\xed\xab\xee\xdb\x03\0\0\0\0\x01bash-5.2"),
        ("xar", "XAR", b"xar!\0\x1c\0\x01"),
        ("vma", "Proxmox VE backup", b"VMA\0" + struct.pack(">I", 1) + uuid.UUID(int=3).bytes),
        ("android-sparse", "Android sparse", struct.pack("<IHHHHIIII", 0xED26FF3A, 1, 0, 28, 12, 4096, 64, 1, 0)),
        ("android-boot", "Android boot", b"ANDROID!" + bytes(32)),
        ("ewf", "EnCase", b"EVF\x09\x0d\x0a\xff\0\x01\x01\0\0\0header2"),
        ("ewf-2", "EnCase", b"EVF2\r\n\x81\0\x02\x01"),
        ("aff", "AFF", b"AFF10\r\n\0"),
        ("partclone", "Partclone", b"partclone-image\x000.3.23"),
        ("partimage", "Partimage", b"PaRtImAgE-VoLuMe"),
        ("fsarchiver", "FSArchiver", b"FsArCh_002"),
        ("ntfsclone", "ntfsclone", b"\0ntfsclone-image\x0a\x01"),
        ("ghost", "Ghost", b"\xfe\xef\x01\x01\x03"),
        ("acronis", "Acronis", b"\xce\x24\xb9\xa2\x20"),
        ("chd", "CHD", b"MComprHD\0\0\0\x7c"),
        ("rbd-export", "RBD export", b"rbd image v2\n"),
        ("rbd-diff", "RBD diff", b"rbd diff v1\n"),
        ("btrfs-send", "Btrfs send", b"btrfs-stream\0\x01\0\0\0"),
        ("zfs-send", "ZFS send", bytes(8) + b"\xac\xcb\xba\xf5\x02\0\0\0"),
        ("virsh-save", "saved memory", b"LibvirtQemudSave" + struct.pack("<IIII", 2, 5000, 1, 0)),
        ("qemu-migration", "saved memory", b"QEVM\0\0\0\x03"),
        ("vmem", "saved memory", b"\xd2\xbe\xd2\xbe\x08\0\0\0"),
        ("kdump", "kernel dump", b"KDUMP   \x06\0\0\0"),
        ("cd-bin", "bchunk", b"\0" + b"\xff" * 10 + b"\0\0\x02\0\x01"),
        ("uimage", "uImage", b"\x27\x05\x19\x56" + bytes(60)),
        ("device-tree", "device tree", b"\xd0\x0d\xfe\xed\0\0\x40\0"),
        ("ubi", "UBI", b"UBI#\x01\0\0\0"),
        ("qed", "QED", b"QED\0\0\0\1\0"),
        ("parallels", "Parallels", b"WithouFreSpacExt\2\0\0\0"),
        ("bochs", "Bochs", b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog"),
        ("vhdx", "VHDX", b"vhdxfileQ\0E\0M\0U\0"),
        ("wim", "WIM", b"MSWIM\0\0\0\xd0\0\0\0"),
        ("elf", "ELF", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0"),
        ("msi", "installer", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("pdf", "PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("png", "PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("sqlite", "SQLite", b"SQLite format 3\0\x10\0"),
        ("torrent", "BitTorrent", b"d8:announce35:udp://tracker.example.org:6969/announce4:infod6:lengthi7e"),
        ("torrent-of-mktorrent", "BitTorrent", b"d10:created by12:mktorrent 1.13:creation datei1700000000e4:infod6:lengthi7e"),
        ("torrent-trackerless", "BitTorrent", b"d13:creation datei1700000000e4:infod6:lengthi7e"),
        ("torrent-commented", "BitTorrent", b"d7:comment5:hello4:infod6:lengthi7e"),
        ("lz4-legacy", "lz4", b"\x02\x21\x4c\x18"),
        ("lha-6", "LHA", b"\x20\x44-lh6-"),
        ("nar", "Nix", b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0"),
        ("age", "age", b"age-encryption.org/v1\n-> X25519 abcd\n--- efgh\n"),
        ("vmss", "saved memory", b"\xd0\xbe\xd2\xbe\x08\0\0\0"),
        ("vmsn", "saved memory", b"\xd3\xbe\xd3\xbe\x08\0\0\0"),
        ("sav", "saved state", b"\x7fVirtualBox SavedState V2.0\n"),
        ("lime", "saved memory", b"EMiL\1\0\0\0"),
        ("hiberfil", "hibernation", b"HIBR\0\0\0\0"),
        ("makedumpfile", "kernel dump", b"makedumpfile\0\0\0\0"),
        ("se-sparse", "SE sparse", b"\xbe\xba\xfe\xca\0\0\0\0"),
        ("dmg-encrypted", "Apple", b"encrcdsa\0\0\0\2"),
        ("bkf", "Windows backup", b"TAPE\0\0\3\0\x8c\0\x0e\1"),
        ("daa", "PowerISO", b"DAA\0\0\0\0\0"),
        ("headers", "curl -i", b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n\xeb\x63"),
        ("headers-2", "curl -i", b"HTTP/2 200 \r\ncontent-length: 65536\r\n\r\n\0\0"),
        ("form", "form", b'------WebKitFormBoundaryx\r\nContent-Disposition: form-data; name="f"; filename="disk.raw"\r\n\r\n\0'),
        ("form-of-curl", "form", b'--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name="f"\r\n\r\n\0'),
        ("makeself", "script", b"#!/bin/sh\n# This script was generated using Makeself 2.5.0\n" + b"x=1\n" * 2000),
    ):  # fmt: skip
        yield Mistaken(name, says, followed(head))
    yield Mistaken(
        "vdi",
        "VDI",
        followed(b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe"),
    )
    yield Mistaken("macrium", "Macrium", followed(b"\x01") + b"MACRIUM_FILE")
    yield Mistaken("nero", "Nero", bytes(SIZE) + b"NER5" + bytes(8))
    yield Mistaken("nero-5", "Nero", followed(b"\x01") + b"NERO\0\1\2\3")
    yield Mistaken("dmg", "DMG", followed(b"\x01") + b"koly\0\0\0\x04".ljust(512, b"\0"))
    yield Mistaken("kernel", "Linux kernel", kernel())
    yield Mistaken("installer", "program for Windows", followed(windows_program()))
    yield Mistaken("tar-v7", "tar", old_tar("disk.raw", bytes(4096)))
    yield Mistaken("tar-v7-of-a-folder", "tar", old_tar("images/", b""))
    yield Mistaken("signature", "OpenPGP signature", b"\x89\x02\x33\x04" + followed(b"\x00\x01\x08\x00", 0x232))


def texts() -> Iterator[Mistaken]:
    """Yield pages, answers, pointers, signatures and settings."""
    yield Mistaken("lfs", "Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 7340\n")
    yield Mistaken("annex", "git-annex", b"/annex/objects/SHA256E-s7340--aa.raw\n")
    yield Mistaken(
        "page-of-meta", "web page", b"<meta http-equiv='refresh' content='0; url=/login'>\n<p>Sign in.</p>\n"
    )
    yield Mistaken("page-of-script", "web page", b"<script>location.href='/login'</script>\n")
    yield Mistaken("page-of-title", "web page", b"\n <TITLE>302</TITLE>\n<H1>Moved</H1>")
    yield Mistaken("page-padded", "web page", b"<html>moved</html>".ljust(4096, b"\0"))
    yield Mistaken("not-found", "answer", b"404 page not found\n")
    yield Mistaken("denied", "answer", b"Access Denied")
    yield Mistaken("json-list", "JSON", b'[{"name": "disk.raw"}]')
    yield Mistaken(
        "armoured",
        "OpenPGP signature",
        b"-----BEGIN PGP SIGNATURE-----\n\niQIzBAAB\n-----END PGP SIGNATURE-----\n",
    )
    yield Mistaken("minisign", "signature", b"untrusted comment: signature\nRWQ=\n")
    yield Mistaken("certificate", "certificate", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    yield Mistaken("ovf", "OVF", b'<?xml version="1.0"?>\n<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"/>\n')
    yield Mistaken("ovf-prefix", "OVF", b'<?xml version="1.0"?>\n<!-- made by us -->\n<ovf:Envelope/>\n')
    yield Mistaken(
        "vbox", "VirtualBox", b'<?xml version="1.0"?>\n<!--\n** edit not\n-->\n<VirtualBox version="1.19"/>\n'
    )
    yield Mistaken("parallels-xml", "Parallels", b"<?xml version='1.0'?>\n<Parallels_disk_image Version=\"1.0\"/>\n")
    yield Mistaken("libvirt", "libvirt", b"<domain type='kvm'><name>x</name></domain>\n")
    yield Mistaken("vmx", ".vmx", b'.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\n')
    yield Mistaken("vmsd", ".vmsd", b'.encoding = "UTF-8"\nsnapshot.lastUID = "2"\n')
    yield Mistaken("cloud-config", "cloud-init", b"#cloud-config\nusers: []\n")
    yield Mistaken("sums", "checksums", b"%s  disk.raw\n" % (b"ab" * 32))
    yield Mistaken("sums-bsd", "checksums", b"SHA256 (disk.raw) = %s\n" % (b"ab" * 32))
    yield Mistaken("cue", ".cue", b'FILE "disk.bin" BINARY\n  TRACK 01 MODE1/2352\n')
    yield Mistaken("magnet", "magnet", b"magnet:?xt=urn:btih:aa\n")
    yield Mistaken("link", "link", b"https://example.org/disk.raw\n")
    yield Mistaken("shortcut", "link", b"[InternetShortcut]\r\nURL=https://example.org/disk.raw\r\n")
    yield Mistaken("script", "script", b"#!/bin/sh\nexec tail -n +3 $0\n")
    yield Mistaken("word", "text", b"hello\n")
    yield Mistaken("one-letter", "text", b"x")
    yield Mistaken("chinese", "text", "请先登录\n".encode() * 9)
    yield Mistaken("utf-16", "text", "Please log in.\r\n".encode("utf-16"))
    yield Mistaken("latin-1", "text", "Fichier supprimé définitivement.\n".encode("latin-1"))
    for code_page in ("cp1251", "koi8-r", "iso8859-7", "gbk", "big5", "shift_jis", "euc_kr"):
        word = {"cp1251": "Войдите", "koi8-r": "Войдите", "iso8859-7": "Συνδεθείτε", "euc_kr": "로그인"}.get(
            code_page, "登入中"
        )
        yield Mistaken(code_page, "text", f"{word} {word}\n".encode(code_page) * 99)
    yield Mistaken("long", "text", b"not the disk that you are looking for\n" * 60_000)


def windows_program() -> bytes:
    head = bytearray(b"MZ".ljust(0x100, b"\0"))
    head[0x3C:0x40], head[0x80:0x86] = struct.pack("<I", 0x80), b"PE\0\0\x64\x86"
    return bytes(head)


def kernel() -> bytes:
    """A Linux kernel has a boot sector for old times' sake, and is a program of UEFI."""
    head = bytearray(followed(windows_program()))
    head[0x1FE:0x200], head[0x202:0x206] = b"\x55\xaa", b"HdrS"
    return bytes(head)


def old_tar(name: str, content: bytes) -> bytes:
    """Write an archive without the ustar mark, as programs before 1988 and small ones do."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    data = bytearray(out.getvalue())
    data[257:265], data[148:156] = bytes(8), b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def unknown_to_us() -> Iterator[Mistaken]:
    """Yield what only libmagic knows."""
    yield Mistaken("gimp", "GIMP", followed(b"gimp xcf v011\0\0\0\x10\0"))
    yield Mistaken("midi", "MIDI", followed(b"MThd\0\0\0\x06\0\1\0\2\0\x60MTrk"))
    yield Mistaken("ogg", "Ogg", followed(b"OggS\0\x02" + bytes(8) + b"\1\0\0\0" + bytes(4) + b"\x01\x1e\x01vorbis"))
    yield Mistaken("python", "byte-compiled", followed(b"\x03\xf3\r\n" + zlib.compress(b"")))
    yield Mistaken(
        "matroska",
        "Matroska",
        followed(
            b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x88matroska"
        ),
    )

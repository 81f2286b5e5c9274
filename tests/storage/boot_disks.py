"""Small disks that are set up to boot in one way or another, as far as an inspection looks at them."""

import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.images import need, run
from tests.services.windows_bytes import pe_program
from tests.storage.corpus_builders import mbr

MIB = 1 << 20
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
FREEBSD_BOOT = uuid.UUID("83bd6b9d-7f41-11dc-be0b-001560b84f0f")
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
X86_64, AARCH64, I386 = pe_program(0x8664), pe_program(0xAA64), pe_program(0x014C)
GRUB = bytes.fromhex("eb6390").ljust(0x17F, b"\x90") + b"GRUB \0Geom\0Hard Disk\0Read\0 Error"
FREEBSD = bytes.fromhex("fc31c08ec08ed88ed0bc007cbe1a7cbf1a06b9e601f3a4e9008a") + b"No boot partition\0Missing GPT\0"
CHAIN = b"\xfa\x33\xc0\x8e\xd0Invalid partition table\0Missing operating system\0"
UNKNOWN = b"\xfa\x33\xc0\x8e\xd0\xbc\x00\x7c" * 20


def fat(folder: Path, files: Mapping[str, bytes], mib: int = 8) -> bytes:
    """Return a FAT that holds these files."""
    need("mkfs.vfat", "mmd", "mcopy")
    target, made = folder / "fat.part", {""}
    with target.open("wb") as file:
        file.truncate(mib * MIB)
    run("mkfs.vfat", "-F", "16", "-s", "1", target)
    for path, data in files.items():
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            place = "/".join(parts[:depth])
            if place not in made:
                run("mmd", "-i", target, f"::{place}")
            made.add(place)
        (folder / "file").write_bytes(data)
        run("mcopy", "-i", target, folder / "file", f"::{path}")
    return target.read_bytes()


def gpt_disk(
    *parts: tuple[uuid.UUID, bytes], code: bytes = b"", hybrid: Sequence[tuple[int, int, int, int]] = ()
) -> bytes:
    """Return a GPT disk with these parts, each from a MiB of its own on. hybrid: more entries of the MBR."""
    at, entries, body = MIB, b"", bytearray(MIB)
    for number, (kind, data) in enumerate(parts):
        size = max(-(-len(data) // MIB), 1) * MIB
        body += data.ljust(size, b"\0")
        place = struct.pack("<QQQ", at // 512, (at + size) // 512 - 1, 0)
        entries += (kind.bytes_le + uuid.UUID(int=number + 1).bytes_le + place).ljust(128, b"\0")
        at += size
    head = struct.pack(
        "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, 1, 34, at // 512, bytes(16), 2, 128, 128, 0
    )
    body[:512] = mbr((0, 0xEE, 1, at // 512 - 1), *hybrid, code=code)
    body[512:604] = head
    body[1024 : 1024 + len(entries)] = entries
    return bytes(body) + bytes(MIB)


def windows_part(folder: Path, *drivers: str) -> bytes:
    """Return a volume with a Windows that has these drivers beside its own."""
    system = "Windows/System32"
    files = {f"{system}/ntoskrnl.exe": X86_64, f"{system}/config/SOFTWARE": b"regf" + bytes(4092)}
    return fat(folder, {**files, **{f"{system}/drivers/{name}": b"MZ" for name in ("disk.sys", *drivers)}})


def mbr_disk(volume: bytes, kind: int = 0x07, code: bytes = b"") -> bytes:
    """Return an MBR disk with one active partition."""
    return mbr((0x80, kind, 2048, len(volume) // 512), code=code).ljust(MIB, b"\0") + volume

"""UEFI programs on a system partition: the fallback that any firmware starts, and those that it starts by a boot entry only.

UEFI 2.10 section 3.5.1.1: `EFI/BOOT/BOOT{machine}.EFI` is started without a boot entry. Installers write theirs to `EFI/<vendor>` and
an entry into the firmware's memory, which does not travel with the disk.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from storage.boot.probe.filesystems import Files, opened, read, signature
from storage.formats.blocks import Bytes

MAX_FOLDERS, MAX_PROGRAMS, MAX_PATH = 32, 32, 200
_FALLBACK = "BOOT"
_TOOLS = ("MM", "FB", "FWUP", "MEMTEST", "SHELL")  # programs beside loaders that start no system


@dataclass(frozen=True, slots=True)
class Program:
    """One of them; see `catalog.records.Loader`."""

    machine: str
    path: str
    offset: int
    fallback: bool


def efi_loaders(part: Bytes, offset: int) -> Iterator[Program]:
    """Yield the loaders on a FAT that lies at `offset` bytes of the disk, fallbacks first."""
    with opened(part, signature(part) or "") as files:
        if files is None:
            return
        folders = [name for name in files.names("/EFI") if name not in (".", "..")][:MAX_FOLDERS]
        for folder in sorted(folders, key=lambda name: name.upper() != _FALLBACK):
            yield from _programs(files, folder, offset)


def _programs(files: Files, folder: str, offset: int) -> Iterator[Program]:
    fallback = folder.upper() == _FALLBACK
    inner = () if fallback else (f"{folder}/Boot",)  # EFI/Microsoft/Boot/bootmgfw.efi
    found = [f"EFI/{place}/{name}" for place in (folder, *inner) for name in files.names(f"/EFI/{place}")]
    programs = [path for path in found if _is_loader(path.rpartition("/")[2].upper(), fallback=fallback)]
    for path in programs[:MAX_PROGRAMS]:
        machine = _machine_of(read(files, f"/{path}", 4096) or b"")
        if machine and len(path) <= MAX_PATH and path.isprintable():
            yield Program(machine, path, offset, fallback)


def _is_loader(name: str, *, fallback: bool) -> bool:
    return name.endswith(".EFI") and (name.startswith(_FALLBACK) if fallback else not name.startswith(_TOOLS))


_PE = {
    0x014C: "i386",
    0x01C2: "arm",
    0x01C4: "arm",
    0x5064: "riscv64",
    0x6264: "loongarch64",
    0x8664: "x86_64",
    0xAA64: "aarch64",
}


def _machine_of(start: bytes) -> str | None:
    """Return the machine of a PE file from its first 4 KiB, or None if it is none."""
    if len(start) < 64 or start[:2] != b"MZ":
        return None
    at = struct.unpack_from("<I", start, 0x3C)[0]
    if start[at : at + 4] != b"PE\0\0" or len(start) < at + 6:
        return None
    code = struct.unpack_from("<H", start, at + 4)[0]
    return _PE.get(code, f"pe-{code:#06x}")

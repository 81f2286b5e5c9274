"""The virtual machine that an image is tried in: firmware, devices, no network, nothing written back."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from catalog.errors import InvalidRequest, MissingProgram
from catalog.records import Architecture, BiosMode, Media
from storage.boot.cloud_seed import LABEL
from storage.programs.confine import Limits, confined
from storage.programs.qemu_img import DRIVERS

MEMORY_MIB = 512
BOOTED: Mapping[Architecture, str] = {"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"}
"""Architectures that can be tried, each with its QEMU."""
_BOARDS: Mapping[Architecture, tuple[str, ...]] = {
    "x86_64": ("-machine", "q35,accel=tcg", "-cpu", "max", "-vga", "std"),
    "aarch64": ("-machine", "virt,accel=tcg", "-cpu", "cortex-a57", "-device", "virtio-gpu-pci"),
}
_FIRMWARE: Mapping[Architecture, tuple[str, tuple[tuple[str, str], ...]]] = {
    "x86_64": (
        "ovmf",
        (
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ),
    ),
    "aarch64": ("qemu-efi-aarch64", (("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),)),
}
"""UEFI by architecture: the package that has it, and where its code and variables may lie."""


class Machine(NamedTuple):
    """What an image is booted on. board: QEMU's words for it. firmware: code and variables of UEFI; None: a PC's own BIOS."""

    program: str
    board: tuple[str, ...]
    firmware: tuple[str, str] | None


def machine_for(bios_mode: BiosMode, architecture: Architecture) -> Machine:
    """Return what an image can be booted on here, and make nothing.

    Raises MissingProgram; InvalidRequest for an architecture without QEMU here.
    """
    program = BOOTED.get(architecture)
    if program is None:
        raise InvalidRequest(
            "cpu_architecture", architecture, f"only images for {' and '.join(BOOTED)} can be tried here"
        )
    confined(program, Limits())
    by_bios = architecture == "x86_64" and bios_mode == "Legacy"
    return Machine(program, _BOARDS[architecture], None if by_bios else _firmware_place(*_FIRMWARE[architecture]))


def machine_command(
    machine: Machine,
    path: Path,
    image_format: str,
    media: Media,
    timeout_s: float,
    work: Path,
    monitor_fd: int,
    seed: Path | None = None,
) -> list[str]:
    """Return the confined QEMU command that boots the image: serial on standard output, monitor on `monitor_fd`.

    work: gets a copy of the firmware's variables. seed: a folder that the guest sees as a small disk. Raises MissingProgram.
    """
    limits = Limits(cpu_s=int(timeout_s * 4) + 10, memory_bytes=8 << 30, file_bytes=8 << 30)
    return [
        *confined(machine.program, limits),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none", "-sandbox", "on"),
        *("-m", str(MEMORY_MIB), "-smp", "2", *machine.board, *_firmware(machine, work)),
        *("-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control"),
        *("-serial", "stdio", *_drive(path, image_format, media), *_seed(seed)),
    ]


def _firmware(machine: Machine, work: Path) -> list[str]:
    if machine.firmware is None:
        return []
    code, variables = machine.firmware
    own = work / "firmware-variables.fd"
    shutil.copyfile(variables, own)
    return [
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file.driver=file,file.filename={_escaped(own)}"),
    ]


def _firmware_place(package: str, places: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    for code, variables in places:
        if Path(code).is_file() and Path(variables).is_file():
            return code, variables
    raise MissingProgram("UEFI firmware", package)


def _drive(path: Path, image_format: str, media: Media) -> list[str]:
    """Attach the image: what the guest writes goes to an overlay that vanishes with QEMU."""
    source = f"file.driver=file,file.filename={_escaped(path)},driver={DRIVERS[image_format]},if=none,id=image"
    if media == "ISO":
        device = ["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=image,bootindex=0"]
        return ["-drive", f"{source},media=cdrom,readonly=on", *device]
    return ["-drive", f"{source},snapshot=on,file.locking=off", "-device", "virtio-blk-pci,drive=image,bootindex=0"]


def _seed(folder: Path | None) -> list[str]:
    """Attach a folder as a disk with a FAT that can only be read."""
    if folder is None:
        return []
    source = f"file.driver=vvfat,file.dir={_escaped(folder)},file.label={LABEL},format=raw,readonly=on,if=none,id=seed"
    return ["-drive", source, "-device", "virtio-blk-pci,drive=seed"]


def _escaped(path: Path) -> str:
    return str(path.absolute()).replace(",", ",,")

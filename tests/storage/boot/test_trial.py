"""An image that boots is told from one that does not, in the mode asked for, and the image stays as it was."""

import hashlib
import re
from pathlib import Path
from typing import get_args

import pytest

from catalog.errors import InvalidRequest, MissingProgram
from catalog.records import Architecture, BiosMode, BootPoint, Media
from storage.boot.console_text import asks_for_login, complaint, evidence, handed_over, panic, printable
from storage.boot.machine import machine_for
from storage.boot.trial import BootOutcome, boot_image
from tests.services.guest_images import data_disk, debian_disk
from tests.services.images import MARKER, arm64_disk, converted, hybrid_iso, package_image, tiny_disk

BIOS_SCREEN = "SeaBIOS (version 1.16.2-debian-1.16.2-1)\n\nBooting from Hard Disk...\n"
UEFI_START = 'BdsDxe: loading Boot0001 "UEFI Misc Device" from PciRoot(0x0)\nBdsDxe: starting Boot0001 "UEFI Misc Device" from PciRoot(0x0)\n'


def test_a_bios_screen_is_evidence_only_after_the_hand_over() -> None:
    assert evidence("SeaBIOS (version 1)\nMachine UUID x", "", by_bios=True) == ""
    assert evidence(BIOS_SCREEN, "", by_bios=True) == ""
    assert evidence(BIOS_SCREEN + "GRUB loading.", "", by_bios=True) == "GRUB loading."
    assert handed_over(BIOS_SCREEN, "")


def test_the_firmwares_own_words_are_no_evidence() -> None:
    failed = BIOS_SCREEN + "Boot failed: not a bootable disk\n\nNo bootable device."
    assert evidence(failed, "", by_bios=True) == ""
    assert complaint(failed, "") == "the firmware says: not a bootable disk"
    shell = (
        UEFI_START
        + 'BdsDxe: failed to start Boot0001\nBdsDxe: starting Boot0002 "EFI Internal Shell" from Fv\nUEFI Interactive Shell v2.2'
    )
    assert evidence("", shell, by_bios=False) == ""
    assert complaint("", shell)


def test_uefi_text_is_evidence_only_after_the_hand_over() -> None:
    assert evidence("", "UEFI firmware (version 1)\n", by_bios=False) == ""
    assert evidence("", UEFI_START, by_bios=False) == ""
    assert evidence("", UEFI_START + "Welcome to GRUB!\n", by_bios=False) == "Welcome to GRUB!"


def test_a_kernel_is_evidence_anywhere() -> None:
    assert evidence("", "[    0.000000] Linux version 6.1.0 (x)", by_bios=False).startswith("Linux version 6.1.0")


def test_escape_sequences_are_left_out() -> None:
    assert printable(b"\x1b[2J\x1b[01;01HWelcome\x1b[0m\r\n") == "Welcome\n"


def boot(
    path: Path,
    work: Path,
    *,
    image_format: str = "raw",
    mode: BiosMode = "Legacy",
    architecture: Architecture = "x86_64",
    media: Media = "Template",
    timeout_s: float = 150,
) -> BootOutcome:
    try:
        return boot_image(path, image_format, machine_for(mode, architecture), media, timeout_s, work)
    except MissingProgram as missing:
        pytest.skip(str(missing))


def test_a_bios_disk_boots_and_stays_as_it_was(tmp_path: Path) -> None:
    disk = tiny_disk("bios")
    before = hashlib.md5(disk.read_bytes()).hexdigest()
    outcome = boot(disk, tmp_path)
    assert outcome.booted
    assert "GRUB" in outcome.evidence
    assert outcome.screenshot
    assert Path(outcome.screenshot).read_bytes().startswith(b"\x89PNG")
    assert hashlib.md5(disk.read_bytes()).hexdigest() == before


def test_a_disk_without_boot_code_does_not_boot(tmp_path: Path) -> None:
    outcome = boot(data_disk(), tmp_path)
    assert not outcome.booted
    assert "No bootable device" in outcome.evidence or "not a bootable disk" in outcome.evidence


@pytest.mark.parametrize(
    ("image_format", "options"), [("qcow2", ("-c",)), ("vmdk", ("-o", "subformat=streamOptimized"))]
)
def test_other_formats_boot_too(image_format: str, options: tuple[str, ...], tmp_path: Path) -> None:
    outcome = boot(converted(tiny_disk("bios"), image_format, *options), tmp_path, image_format=image_format)
    assert (outcome.booted, "GRUB" in outcome.evidence) == (True, True)


def test_a_uefi_disk_boots_by_uefi(tmp_path: Path) -> None:
    outcome = boot(tiny_disk("uefi"), tmp_path, mode="UEFI")
    assert (outcome.booted, outcome.evidence) == (True, "Welcome to GRUB!")


@pytest.mark.long
def test_a_bios_disk_does_not_boot_by_uefi(tmp_path: Path) -> None:
    outcome = boot(tiny_disk("bios"), tmp_path, mode="UEFI")
    assert not outcome.booted
    assert re.search("Shell|No bootable", outcome.evidence)


@pytest.mark.long
def test_a_uefi_disk_does_not_boot_by_bios(tmp_path: Path) -> None:
    assert not boot(tiny_disk("uefi"), tmp_path).booted


@pytest.mark.long
@pytest.mark.parametrize("mode", get_args(BiosMode))
@pytest.mark.parametrize("name", ["hybrid", "ipxe", "memtest"])
def test_an_iso_boots_both_ways(name: str, mode: BiosMode, tmp_path: Path) -> None:
    path = hybrid_iso() if name == "hybrid" else package_image(name)
    assert boot(path, tmp_path, image_format="iso", mode=mode, media="ISO").booted


@pytest.mark.long
def test_an_arm64_disk_boots_on_aarch64(tmp_path: Path) -> None:
    outcome = boot(arm64_disk(), tmp_path, mode="UEFI", architecture="aarch64")
    assert outcome.booted
    assert MARKER in outcome.console


@pytest.mark.long
@pytest.mark.parametrize("mode", get_args(BiosMode))
@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_a_real_debian_vmdk_boots(kind: str, mode: BiosMode, tmp_path: Path) -> None:
    path = converted(debian_disk(), "vmdk", "-o", f"subformat={kind}")
    assert boot(path, tmp_path, image_format="vmdk", mode=mode).booted


def test_an_architecture_without_a_machine_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="x86_64 and aarch64"):
        machine_for("UEFI", "loongarch64")


def test_a_login_is_asked_for_in_a_line_of_its_own() -> None:
    assert asks_for_login("", "Debian GNU/Linux 12 debian ttyS0\r\n\r\ndebian login: ") == "debian login:"
    assert asks_for_login("Welcome to Alpine\nlocalhost login:", "") == "localhost login:"
    assert (
        asks_for_login("", "systemd-logind.service: login: session of a user\n[  OK  ] Started User Login Management.")
        == ""
    )
    assert panic("", "[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\nx").endswith("mount root fs")


@pytest.mark.long
def test_a_real_debian_boots_until_it_asks_for_a_login(tmp_path: Path) -> None:
    outcome = boot_image(
        debian_disk(), "raw", machine_for("Legacy", "x86_64"), "Template", 600, tmp_path, BootPoint(until="login")
    )
    assert (outcome.booted, outcome.evidence.endswith("login:")) == (True, True), outcome


@pytest.mark.long
def test_a_kernel_that_panics_asks_for_no_login(tmp_path: Path) -> None:
    broken = tmp_path / "broken.raw"
    data = (
        debian_disk()
        .read_bytes()
        .replace(b"root=LABEL=root ro console=tty0 c", b"rdinit=/x  ro console=tty0      c", 1)
    )
    broken.write_bytes(data)
    (tmp_path / "work").mkdir()
    outcome = boot_image(
        broken, "raw", machine_for("Legacy", "x86_64"), "Template", 240, tmp_path / "work", BootPoint(until="login")
    )
    assert not outcome.booted
    assert "Kernel panic - not syncing" in outcome.evidence

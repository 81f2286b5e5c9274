"""How disks are set up to boot in real life: both modes, vendors' loaders, boot code of all kinds, drivers of one kind."""

from pathlib import Path

import pytest

from catalog.records import BootFacts
from storage.boot.facts import boot_facts
from tests.storage.boot_disks import (
    AARCH64,
    BIOS_BOOT,
    CHAIN,
    ESP,
    FREEBSD,
    FREEBSD_BOOT,
    GRUB,
    I386,
    LINUX,
    MIB,
    UNKNOWN,
    X86_64,
    fat,
    gpt_disk,
    mbr_disk,
    windows_part,
)
from tests.storage.corpus_builders import mbr
from tests.storage.formats.readers import Memory


def facts(disk: bytes) -> BootFacts:
    return boot_facts(Memory(disk), "raw", timeout_s=60)


def test_a_freebsd_disk_boots_in_both_modes(tmp_path: Path) -> None:
    esp = fat(tmp_path, {"EFI/BOOT/BOOTX64.EFI": X86_64})
    found = facts(gpt_disk((FREEBSD_BOOT, b"\xeb\x3c" + b"btx" * 99), (ESP, esp), (LINUX, b""), code=FREEBSD))
    assert (found.bios_boot, found.bios_code, found.uefi_boot) == (True, False, ("x86_64",))


def test_boot_code_that_looks_for_a_partition_boots_only_where_there_is_one(tmp_path: Path) -> None:
    for code in (FREEBSD, CHAIN):
        found = facts(gpt_disk((LINUX, b"data"), code=code))
        assert (found.bios_boot, found.bios_code) == (False, False)


def test_a_hybrid_mbr_leads_a_bios_beside_the_gpt() -> None:
    loader = b"\xeb\x58".ljust(90, b"\0") + b"\xfa\x31\xc0" * 50
    part = loader.ljust(510, b"\0") + b"\x55\xaa"
    assert facts(gpt_disk((LINUX, part), code=CHAIN, hybrid=[(0x80, 0x0C, 2048, 2048)])).bios_boot
    assert not facts(gpt_disk((LINUX, part), code=CHAIN)).bios_boot


def test_boot_code_that_nobody_knows_is_neither_said_to_boot_nor_not_to() -> None:
    found = facts(mbr((0, 0x83, 2048, 2048), code=UNKNOWN).ljust(3 * MIB, b"\0"))
    assert (found.bios_boot, found.bios_code) == (False, True)


def test_loaders_of_vendors_are_told_from_the_fallback(tmp_path: Path) -> None:
    files = {
        "EFI/debian/grubx64.efi": X86_64,
        "EFI/debian/mmx64.efi": X86_64,
        "EFI/debian/fbx64.efi": X86_64,
        "EFI/Microsoft/Boot/bootmgfw.efi": X86_64,
        "EFI/Microsoft/Boot/memtest.efi": X86_64,
        "EFI/debian/notes.txt": b"x",
        "EFI/broken/grubx64.efi": b"MZ",
    }
    found = facts(gpt_disk((BIOS_BOOT, b"core"), (ESP, fat(tmp_path, files)), code=GRUB))
    assert (found.bios_boot, found.uefi_boot) == (True, ())
    assert {(x.machine, x.path, x.offset, x.fallback) for x in found.loaders} == {
        ("x86_64", "EFI/debian/grubx64.efi", 2 * MIB, False),
        ("x86_64", "EFI/Microsoft/Boot/bootmgfw.efi", 2 * MIB, False),
    }


def test_each_machine_has_its_fallback(tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTIA32.EFI": I386,
        "EFI/BOOT/BOOTAA64.EFI": AARCH64,
        "EFI/BOOT/grubaa64.efi": AARCH64,
    }
    found = facts(gpt_disk((ESP, fat(tmp_path, files))))
    assert set(found.uefi_boot) == {"i386", "aarch64"}
    assert all(loader.fallback for loader in found.loaders)
    assert len(found.loaders) == 2


@pytest.mark.parametrize(
    ("drivers", "disk", "network"),
    [
        ((), False, False),
        (("viostor.sys",), True, False),
        (("VIOSCSI.SYS",), True, False),
        (("netkvm.sys",), False, True),
        (("viostor.sys", "netkvm.sys"), True, True),
    ],
)
def test_drivers_of_one_kind_are_told_from_those_of_the_other(
    tmp_path: Path, drivers: tuple[str, ...], disk: bool, network: bool
) -> None:
    found = facts(mbr_disk(windows_part(tmp_path, *drivers)))
    assert (found.virtio_disk, found.virtio_network, found.virtio) == (disk, network, disk and network)
    assert found.guest_at == MIB


def test_a_folder_of_loaders_without_end_costs_little(tmp_path: Path) -> None:
    files = {f"EFI/v{folder}/l{n}.efi": X86_64 for folder in range(2) for n in range(40)}
    found = facts(gpt_disk((ESP, fat(tmp_path, files))))
    assert len(found.loaders) == 64

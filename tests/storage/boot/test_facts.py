"""What the bytes say about booting, from every kind of image and every format."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import DigestMismatch
from catalog.records import BootFacts
from storage.boot.facts import boot_facts
from storage.formats.iso.el_torito import read_entries
from storage.local_files import LocalReader
from tests.services.guest_images import (
    LINUX_NAME,
    WINDOWS_NAME,
    data_disk,
    debian_disk,
    linux_disk,
    windows_disk,
)
from tests.services.images import arm64_disk, converted, hybrid_iso, package_image, tiny_disk
from tests.services.windows_bytes import pe_program
from tests.storage.corpus import hostile_files
from tests.storage.corpus_builders import MIB, gpt, iso, mbr
from tests.storage.formats.readers import Memory


def facts(path: Path, image_format: str = "raw") -> BootFacts:
    with LocalReader(path) as reader:
        return boot_facts(reader, image_format)


@pytest.mark.parametrize(
    ("modes", "bios", "uefi"),
    [(("bios",), True, ()), (("uefi",), False, ("x86_64",)), (("bios", "uefi"), True, ("x86_64",))],
)
def test_a_disk_boots_by_what_is_installed_on_it(modes: tuple[str, ...], bios: bool, uefi: tuple[str, ...]) -> None:
    found = facts(tiny_disk(*modes))
    assert (found.partition_table, found.bios_boot, found.uefi_boot) == ("gpt", bios, uefi)


def test_an_arm64_disk_boots_by_uefi_on_aarch64_only() -> None:
    found = facts(arm64_disk())
    assert (found.bios_boot, found.uefi_boot) == (False, ("aarch64",))


def processor_time() -> float:
    """Return seconds that this process and its finished children computed; other work on the machine does not count."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


FORMATS: dict[str, tuple[str, ...]] = {
    "qcow2": (),
    "qcow2-zlib": ("-c",),
    "qcow2-zstd": ("-c", "-o", "compression_type=zstd"),
    "vmdk-sparse": ("-o", "subformat=monolithicSparse"),
    "vmdk-stream": ("-o", "subformat=streamOptimized"),
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_facts_do_not_depend_on_the_format(name: str) -> None:
    disk, image_format = linux_disk(), name.split("-", maxsplit=1)[0]
    assert facts(converted(disk, image_format, *FORMATS[name]), image_format) == facts(disk)


@pytest.mark.parametrize(
    ("make", "bios", "uefi"),
    [
        (hybrid_iso, True, ("x86_64",)),
        (lambda: package_image("ipxe"), True, ("x86_64",)),
        (lambda: package_image("memtest"), True, ("x86_64",)),
        (lambda: package_image("grub"), True, ()),
        (lambda: package_image("floppy"), True, ()),
    ],
)
def test_an_iso_boots_by_its_catalog(make: Callable[[], Path], bios: bool, uefi: tuple[str, ...]) -> None:
    found = facts(make(), "iso")
    assert (found.partition_table, found.bios_boot, found.uefi_boot) == ("iso", bios, uefi)


def test_an_installation_medium_names_what_it_installs() -> None:
    assert facts(hybrid_iso(), "iso").guest_os == "Tiny GNU/Linux 1.0 test amd64"


def test_the_boot_catalog_is_what_another_reader_sees() -> None:
    pycdlib = pytest.importorskip("pycdlib")
    for path in (hybrid_iso(), package_image("ipxe"), package_image("memtest"), package_image("grub")):
        other = pycdlib.PyCdlib()
        other.open(str(path))
        catalog = other.eltorito_boot_catalog
        places = {catalog.initial_entry.get_rba() * 2048}
        places |= {entry.get_rba() * 2048 for section in catalog.sections for entry in section.section_entries}
        other.close()
        with LocalReader(path) as reader:
            assert {entry.start for entry in read_entries(reader)} == places


@pytest.mark.parametrize("filesystem", ["ext2", "ext4", "xfs", "lvm"])
def test_a_linux_guest_is_recognised_on_any_file_system(filesystem: str) -> None:
    found = facts(linux_disk(filesystem))
    assert found.guest_os == LINUX_NAME
    assert (found.virtio, found.cloud_init, found.guest_agent) == (True, True, True)
    assert filesystem in found.filesystems


def test_what_a_guest_lacks_is_told() -> None:
    found = facts(linux_disk(virtio=False, cloud=False, agent=False))
    assert (found.virtio, found.cloud_init, found.guest_agent) == (False, False, False)


@pytest.mark.parametrize(("filesystem", "virtio"), [("vfat", True), ("vfat", False), ("ntfs", True)])
def test_windows_is_recognised_with_its_edition_and_drivers(filesystem: str, virtio: bool) -> None:
    found = facts(windows_disk(filesystem, virtio=virtio))
    assert (found.guest_os, found.virtio, found.uefi_boot) == (WINDOWS_NAME, virtio, ("x86_64",))
    assert filesystem in found.filesystems


def test_windows_11_is_told_from_10_by_its_build() -> None:
    assert facts(windows_disk(product="Windows 10 Pro", build="22631")).guest_os == "Windows 11 Pro"
    assert facts(windows_disk(product="Windows 10 Pro", build="19045")).guest_os == "Windows 10 Pro"


@pytest.mark.parametrize("filesystem", ["ext4", "vfat"])
def test_a_data_disk_boots_nowhere_and_has_no_guest(filesystem: str) -> None:
    found = facts(data_disk(filesystem))
    assert (found.partition_table, found.bios_boot, found.uefi_boot) == ("none", False, ())
    assert (found.guest_os, found.filesystems) == (None, (filesystem,))


def test_an_active_partition_without_a_boot_sector_does_not_boot() -> None:
    disk = (mbr((0x80, 0x83, 1, 100), code=b"\xfa\x33\xc0" * 20)).ljust(MIB, b"\0")
    assert not boot_facts(Memory(disk), "raw").bios_boot


def test_a_boot_sector_without_partitions_boots_like_a_floppy() -> None:
    assert boot_facts(Memory(mbr(code=b"\xfa\x33\xc0" * 20).ljust(1440 * 1024, b"\0")), "raw").bios_boot


@pytest.mark.long  # a minute where the disk is not cached
def test_a_real_debian_disk_is_known_within_two_seconds() -> None:
    disk = debian_disk()
    for image_format, options in (("raw", ()), ("qcow2", ()), ("vmdk", ("-o", "subformat=streamOptimized"))):
        path = converted(disk, image_format, *options) if image_format != "raw" else disk
        before = processor_time()
        found = facts(path, image_format)
        assert processor_time() - before < 2
        assert found.guest_os == "Debian GNU/Linux 12 (bookworm)"
        assert (found.partition_table, found.bios_boot, found.uefi_boot) == ("gpt", True, ("x86_64",))
        assert (found.virtio, found.cloud_init, found.guest_agent) == (True, False, False)


HOSTILE = [h for h in hostile_files() if h.name.startswith(("qcow2-", "vmdk-", "iso-", "gpt-"))]


@pytest.mark.parametrize("hostile", HOSTILE[::13], ids=str)
def test_hostile_bytes_give_facts_not_errors(hostile: object) -> None:
    image = next(h for h in HOSTILE if h is hostile)
    assert isinstance(boot_facts(Memory(image.content), image.declared), BootFacts)


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 4096, gpt((1 << 64) - 1), iso(first=0), pe_program(0x8664)])
@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "iso"])
def test_odd_bytes_give_facts_not_errors(content: bytes, image_format: str) -> None:
    assert isinstance(boot_facts(Memory(content), image_format), BootFacts)


def test_what_was_found_before_the_time_was_over_stands() -> None:
    class Slow(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            time.sleep(0.3 if offset else 0)
            return super().read_at(offset, size)

    begun = time.monotonic()
    found = boot_facts(Slow(linux_disk().read_bytes()), "raw", timeout_s=1.0)
    assert time.monotonic() - begun < 4
    assert (found.partition_table, found.guest_os) == ("gpt", None)


def test_half_of_the_ways_to_boot_are_never_told() -> None:
    class Stalls(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            time.sleep(3 if offset > 2 * MIB else 0)
            return super().read_at(offset, size)

    found = boot_facts(Stalls(tiny_disk("bios", "uefi").read_bytes()), "raw", timeout_s=2.0)
    assert (found.bios_boot, found.uefi_boot) == (False, ())


def test_a_damaged_replica_is_an_error_of_its_own() -> None:
    class Damaged(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            raise DigestMismatch("chip 1", "aa", "bb")

    with pytest.raises(DigestMismatch):
        boot_facts(Damaged(bytes(MIB)), "raw")


def test_little_is_read_of_a_large_disk() -> None:
    class Endless:
        size_bytes = 1 << 40
        bytes_read = 0

        def read_at(self, offset: int, size: int) -> bytes:
            self.bytes_read += size
            return (mbr((0x80, 0x83, 2048, 1 << 30), code=b"\xfa" * 99) if offset == 0 else b"").ljust(size, b"\0")

        def extents(self) -> Iterator[tuple[int, int, bool]]:
            yield 0, self.size_bytes, True

    reader = Endless()
    assert boot_facts(reader, "raw").partition_table == "mbr"
    assert reader.bytes_read < 4 * MIB

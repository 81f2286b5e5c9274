"""How disks of each kind are divided, as GPT fdisk tells it; and what hostile ones say."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.boot.layout import DiskPart, Layout, layout_of
from storage.local_files import LocalReader
from tests.services.guest_images import data_disk, linux_disk, windows_disk
from tests.services.images import converted, hybrid_iso, tiny_disk
from tests.storage.corpus import Hostile, hostile_files
from tests.storage.corpus_builders import MIB, gpt, mbr
from tests.storage.formats.readers import Memory

SECTOR = 512
TABLES = [hostile for hostile in hostile_files() if hostile.name.startswith("gpt-")]


def layout(path: Path, image_format: str = "raw") -> Layout:
    with LocalReader(path) as reader:
        found = layout_of(reader, image_format)
    assert found is not None
    return found


def by_sgdisk(path: Path) -> list[tuple[int, int]]:
    """Return (start, size) of each partition, bytes, as GPT fdisk reads the table."""
    told = subprocess.run(["sgdisk", "--print", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in told.partition("Number ")[2].splitlines()[1:]]
    return [(int(row[1]) * SECTOR, (int(row[2]) - int(row[1]) + 1) * SECTOR) for row in rows if row]


@pytest.mark.parametrize(
    "disk", [lambda: tiny_disk("bios", "uefi"), linux_disk, windows_disk], ids=["tiny", "linux", "windows"]
)
def test_partitions_are_where_another_reader_sees_them(disk: Callable[[], Path]) -> None:
    path = disk()
    found = layout(path)
    assert [(part.start, part.size_bytes) for part in found.parts] == by_sgdisk(path) != []
    assert found.size_bytes == path.stat().st_size


def test_what_fills_them_and_what_they_are_for_is_told() -> None:
    parts = layout(tiny_disk("bios", "uefi")).parts
    assert {"BIOS boot", "EFI system"} <= {part.role for part in parts}
    assert "vfat" in {part.holds for part in parts if part.role == "EFI system"}
    assert "ext4" in {part.holds for part in layout(linux_disk("ext4")).parts}
    whole = layout(data_disk("ext4"))
    assert (whole.table, [(part.start, part.holds) for part in whole.parts]) == ("none", [(0, "ext4")])


def test_a_disk_is_divided_alike_in_every_format(tmp_path: Path) -> None:
    path = linux_disk("ext4")
    assert layout(converted(path, "qcow2"), "qcow2") == layout(path)
    assert layout(hybrid_iso(), "iso").table == "iso"


def test_what_lies_behind_the_end_of_the_disk_is_left_out() -> None:
    disk = mbr((0, 0x83, 1, 100), (0, 0x83, 1 << 30, 100)).ljust(MIB, b"\0")
    found = layout_of(Memory(disk), "raw")
    assert found == Layout(table="mbr", size_bytes=MIB, parts=(DiskPart(start=SECTOR, size_bytes=100 * SECTOR),))


@pytest.mark.parametrize("hostile", TABLES, ids=lambda hostile: hostile.name)
def test_hostile_tables_are_told_or_left_alone(hostile: Hostile) -> None:
    found = layout_of(Memory(hostile.content), "raw")
    assert found is None or all(0 <= part.start < found.size_bytes for part in found.parts)


def test_what_the_process_could_not_say_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in {
        b"": None,
        b"nonsense": None,
        b'{"table": "gpt", "size_bytes": 9}\n{"start": 1, "size_bytes": 2, "holds": "xfs"}\n{"star': (1,),
    }.items():
        monkeypatch.setattr("storage.boot.layout.looked", lambda *_, said=said: said)
        found = layout_of(Memory(gpt(2000)), "raw")
        assert (found and tuple(part.start for part in found.parts)) == expected

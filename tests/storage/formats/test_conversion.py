"""A conversion keeps what the guest sees, keeps holes, leaves nothing behind, and is never believed without proof."""

import os
from pathlib import Path

import pytest

from catalog.errors import CapacityExceeded, ConversionFailed, DigestMismatch
from storage.formats.blocks import Cached
from storage.formats.convert import convert_reader, prove_equal, write_sparse
from storage.formats.guest_disk import open_disk
from storage.local_files import LocalReader
from storage.programs import qemu_img
from tests.services.guest_images import debian_disk, linux_disk
from tests.services.images import converted, need
from tests.storage.corpus_builders import MIB, qcow2
from tests.storage.formats.readers import Memory

VMDK_KINDS = ("monolithicSparse", "streamOptimized")


def quiet(done: int, total: int | None) -> None:
    """Progress that nobody watches."""


def vmdk(kind: str) -> Path:
    return converted(linux_disk(), "vmdk", "-o", f"subformat={kind}")


@pytest.mark.parametrize("kind", VMDK_KINDS)
@pytest.mark.parametrize("to_format", ["qcow2", "raw"])
def test_a_vmdk_becomes_what_the_storage_keeps(kind: str, to_format: str, tmp_path: Path) -> None:
    with LocalReader(vmdk(kind)) as reader:
        target = convert_reader(reader, "vmdk", to_format, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == [target]
    assert qemu_img.compare(linux_disk(), "raw", target, to_format, quiet)
    assert target.stat().st_blocks * 512 < 8 * MIB


@pytest.mark.parametrize(
    ("from_format", "to_format"),
    [("raw", "qcow2"), ("raw", "vmdk"), ("qcow2", "vmdk"), ("qcow2", "raw"), ("iso", "qcow2")],
)
def test_any_format_can_be_exported_as_any_other(from_format: str, to_format: str, tmp_path: Path) -> None:
    source = linux_disk() if from_format in ("raw", "iso") else converted(linux_disk(), from_format)
    with LocalReader(source) as reader:
        target = convert_reader(reader, from_format, to_format, tmp_path, quiet)
    assert qemu_img.info(target, to_format).virtual_size_bytes == qemu_img.info(linux_disk(), "raw").virtual_size_bytes
    assert qemu_img.compare(source, from_format, target, to_format, quiet)


def test_progress_only_grows_and_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with LocalReader(vmdk("streamOptimized")) as reader:
        convert_reader(reader, "vmdk", "qcow2", tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen, key=lambda step: step[0])
    assert seen[-1][0] == seen[-1][1]


def test_a_different_result_is_not_believed(tmp_path: Path) -> None:
    need("qemu-img")
    first, second = tmp_path / "a.raw", tmp_path / "b.raw"
    first.write_bytes(bytes(MIB))
    second.write_bytes(bytes(MIB - 1) + b"x")
    with pytest.raises(ConversionFailed, match="would not see the same bytes"):
        prove_equal(first, "raw", second, "raw", quiet)
    second.write_bytes(bytes(2 * MIB))
    with pytest.raises(ConversionFailed, match="would not see the same bytes"):
        prove_equal(first, "raw", second, "raw", quiet)


def test_a_failed_conversion_leaves_nothing_behind(tmp_path: Path) -> None:
    need("qemu-img")
    with pytest.raises(ConversionFailed, match="converting qcow2 to raw failed"):
        convert_reader(Memory(b"QFI\xfb" + bytes(200)), "qcow2", "raw", tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_replica_is_told_as_such_and_leaves_nothing_behind(tmp_path: Path) -> None:
    class Damaged(Memory):
        def read_at(self, offset: int, size: int) -> bytes:
            raise DigestMismatch("chip 7", "aa", "bb")

    with pytest.raises(DigestMismatch):
        convert_reader(Damaged(qcow2()), "qcow2", "raw", tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_file_larger_than_the_scratch_folder_is_refused_before_it_is_written(tmp_path: Path) -> None:
    class Huge(Memory):
        size_bytes = 1 << 60

        def __init__(self) -> None:
            self.content = b""

        def extents(self):  # type: ignore[no-untyped-def]
            yield 0, self.size_bytes, False

    with pytest.raises(CapacityExceeded):
        write_sparse(Huge(), tmp_path / "x", quiet)


def test_holes_stay_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(1 << 30)
        os.pwrite(file.fileno(), b"data", 512 * MIB)
    with LocalReader(source) as reader:
        write_sparse(reader, tmp_path / "copy", quiet)
    assert (tmp_path / "copy").stat().st_size == 1 << 30
    assert (tmp_path / "copy").stat().st_blocks * 512 < MIB


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("qcow2", ()),
        ("qcow2", ("-c",)),
        ("qcow2", ("-c", "-o", "compression_type=zstd")),
        ("qcow2", ("-o", "cluster_size=4096")),
        ("vmdk", ("-o", "subformat=monolithicSparse")),
        ("vmdk", ("-o", "subformat=streamOptimized")),
    ],
)
def test_our_own_readers_show_the_same_disk(image_format: str, options: tuple[str, ...]) -> None:
    raw = linux_disk()
    with LocalReader(converted(raw, image_format, *options)) as stored, LocalReader(raw) as guest:
        disk = open_disk(Cached(stored), image_format)
        assert disk.size_bytes == guest.size_bytes
        for start in range(0, guest.size_bytes, MIB):
            assert disk.read_at(start, MIB) == guest.read_at(start, MIB)
        for start, size in (
            (0, 1),
            (511, 2),
            (65535, 65538),
            (guest.size_bytes - 3, 100),
            (guest.size_bytes, 1),
        ):
            assert disk.read_at(start, size) == guest.read_at(start, size)


@pytest.mark.long
@pytest.mark.parametrize("kind", VMDK_KINDS)
def test_a_real_debian_vmdk_lands_as_qcow2(kind: str, tmp_path: Path) -> None:
    source = converted(debian_disk(), "vmdk", "-o", f"subformat={kind}")
    with LocalReader(source) as reader:
        target = convert_reader(reader, "vmdk", "qcow2", tmp_path, quiet)
    assert qemu_img.compare(debian_disk(), "raw", target, "qcow2", quiet)

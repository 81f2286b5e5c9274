"""Dangerous images as qemu-img itself makes them are refused, as stream and as stored file."""

import subprocess
from pathlib import Path

import pytest

from catalog.errors import FormatMismatch, UnsafeImage
from catalog.records import ImageFormat
from storage.formats.inspector import check_verdict, inspect_reader
from storage.local_files import LocalReader
from tests.services.images import need
from tests.storage.formats.readers import LIMIT, errors, judged

SECRET = "--object", "secret,id=key,data=password"
MADE: dict[str, tuple[str, tuple[str, ...], ImageFormat, str]] = {
    "backing": ("qcow2", ("-b", "base.raw", "-F", "raw"), "qcow2", "qcow2.backing-file"),
    "old-backing": ("qcow2", ("-o", "compat=0.10", "-b", "base.raw", "-F", "raw"), "qcow2", "qcow2.backing-file"),
    "data-file": ("qcow2", ("-o", "data_file=data.raw"), "qcow2", "qcow2.data-file"),
    "raw-data-file": ("qcow2", ("-o", "data_file=data.raw,data_file_raw=on"), "qcow2", "qcow2.data-file"),
    "luks-inside": ("qcow2", (*SECRET, "-o", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=200"), "qcow2", "qcow2.encrypted"),
    "extended-l2": ("qcow2", ("-o", "extended_l2=on"), "qcow2", "qcow2.extended-l2"),
    "flat": ("vmdk", ("-o", "subformat=monolithicFlat"), "vmdk", "vmdk.text-descriptor"),
    "split-sparse": ("vmdk", ("-o", "subformat=twoGbMaxExtentSparse"), "vmdk", "vmdk.text-descriptor"),
    "split-flat": ("vmdk", ("-o", "subformat=twoGbMaxExtentFlat"), "vmdk", "vmdk.text-descriptor"),
    "vmdk-parent": ("vmdk", ("-b", "base.vmdk", "-F", "vmdk"), "vmdk", "vmdk.parent"),
    "vhd-dynamic": ("vpc", (), "raw", "file.foreign-format"),
    "vhd-fixed": ("vpc", ("-o", "subformat=fixed"), "raw", "file.foreign-format"),
    "vhdx": ("vhdx", (), "raw", "file.foreign-format"),
    "vdi": ("vdi", (), "raw", "file.foreign-format"),
    "qed": ("qed", (), "raw", "file.foreign-format"),
    "parallels": ("parallels", (), "raw", "file.foreign-format"),
    "old-qcow": ("qcow", (), "qcow2", "qcow2.version"),
}  # fmt: skip


def create(folder: Path, image_format: str, options: tuple[str, ...]) -> Path:
    need("qemu-img")
    commands = (
        ("create", "-q", "-f", "raw", "base.raw", "16M"),
        ("create", "-q", "-f", "vmdk", "base.vmdk", "16M"),
        ("create", "-q", "-f", image_format, *options, "image", "16M"),
    )
    for command in commands:
        done = subprocess.run(["qemu-img", *command], cwd=folder, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"this qemu-img does not make {image_format}: {done.stderr.decode(errors='replace')[:200]}")
    return folder / "image"


SLOW = ("luks-inside",)  # qemu-img spends seconds on deriving the key


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in SLOW else []) for n in MADE])
def test_a_dangerous_image_is_refused(name: str, tmp_path: Path) -> None:
    image_format, options, declared, rule = MADE[name]
    path = create(tmp_path, image_format, options)
    verdict = judged(path.read_bytes(), 65536)
    with LocalReader(path) as reader:
        assert errors(inspect_reader(reader, LIMIT)) == errors(verdict)
    assert rule in errors(verdict)
    with pytest.raises(UnsafeImage):
        check_verdict(verdict, declared)


def test_an_image_cut_short_is_refused_although_qemu_reads_it(tmp_path: Path) -> None:
    """qemu-img convert ends with success on it, and compare finds both equal: what is gone reads as zeros."""
    path = create(tmp_path, "qcow2", ())
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 4M", path], check=True, capture_output=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = subprocess.run(
        ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, tmp_path / "out"],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
    assert "qcow2.truncated" in errors(judged(path.read_bytes(), 65536))
    assert errors(judged(whole, 65536)) == []


def test_a_raw_disk_that_a_guest_made_look_like_qcow2_is_a_mismatch(tmp_path: Path) -> None:
    path = create(tmp_path, "qcow2", ())
    with pytest.raises(FormatMismatch, match="declared raw, but the bytes are qcow2"):
        check_verdict(judged(path.read_bytes(), 65536), "raw")

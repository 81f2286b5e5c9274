"""Our verdict and qemu-img's agree on format and virtual size of every good image, whatever the read size."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.formats.inspector import Inspector, inspect_reader
from storage.local_files import LocalReader
from storage.programs.qemu_img import info
from tests.services.images import converted, hybrid_iso, need, package_image, tiny_disk
from tests.storage.formats.readers import LIMIT, errors

MIB = 1 << 20


def made(image_format: str, size: int, *options: str, write: bool = True) -> Callable[[Path], Path]:
    """Make an image with qemu-img, and write a little into it with qemu-io."""

    def make(folder: Path) -> Path:
        need("qemu-img", "qemu-io")
        path = folder / f"made.{image_format}"
        chosen = ("-o", ",".join(options)) if options else ()
        run("qemu-img", "create", "-q", "-f", image_format, *chosen, str(path), str(size))
        if write:
            run(
                "qemu-io",
                "-f",
                image_format,
                "-c",
                "write -P 7 0 64k",
                "-c",
                f"write -P 8 {size // 2} 4k",
                str(path),
            )
        return path

    return make


def compressed(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        source = made("raw", 64 * MIB)(folder)
        target = folder / "packed.qcow2"
        run(
            "qemu-img",
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "-c",
            "-o",
            f"compression_type={kind}",
            str(source),
            str(target),
        )
        return target

    return make


def resized(folder: Path) -> Path:
    """Grow the image until its L1 table moves behind what it points to."""
    path = made("qcow2", 64 * MIB, "cluster_size=4096")(folder)
    run("qemu-img", "resize", "-q", "-f", "qcow2", str(path), "8G")
    return path


def with_snapshot(folder: Path) -> Path:
    path = made("qcow2", 64 * MIB)(folder)
    run("qemu-img", "snapshot", "-c", "before", str(path))
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 0 1M", str(path))
    return path


def with_bitmap(folder: Path) -> Path:
    path = made("qcow2", 64 * MIB)(folder)
    run("qemu-img", "bitmap", "--add", "-f", "qcow2", str(path), "changes")
    return path


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def bios(_: Path) -> Path:
    return tiny_disk("bios")


GOOD: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "qcow2-2": ("qcow2", made("qcow2", 64 * MIB, "compat=0.10")),
    "qcow2-3": ("qcow2", made("qcow2", 64 * MIB)),
    "qcow2-empty": ("qcow2", made("qcow2", 64 * MIB, write=False)),
    "qcow2-odd-size": ("qcow2", made("qcow2", 64 * MIB + 512)),
    "qcow2-tiny": ("qcow2", made("qcow2", 65536 * 2)),
    "qcow2-huge": ("qcow2", made("qcow2", 8 << 40)),
    "qcow2-512-clusters": ("qcow2", made("qcow2", 64 * MIB, "cluster_size=512")),
    "qcow2-4k-clusters": ("qcow2", made("qcow2", 64 * MIB, "cluster_size=4096")),
    "qcow2-2m-clusters": ("qcow2", made("qcow2", 64 * MIB, "cluster_size=2097152")),
    "qcow2-1-bit-refcounts": ("qcow2", made("qcow2", 64 * MIB, "refcount_bits=1")),
    "qcow2-lazy": ("qcow2", made("qcow2", 64 * MIB, "lazy_refcounts=on")),
    "qcow2-metadata": ("qcow2", made("qcow2", 64 * MIB, "preallocation=metadata")),
    "qcow2-full": ("qcow2", made("qcow2", 4 * MIB, "preallocation=full")),
    "qcow2-zlib": ("qcow2", compressed("zlib")),
    "qcow2-zstd": ("qcow2", compressed("zstd")),
    "qcow2-resized": ("qcow2", resized),
    "qcow2-snapshot": ("qcow2", with_snapshot),
    "qcow2-bitmap": ("qcow2", with_bitmap),
    "qcow2-bootable": ("qcow2", lambda _: converted(tiny_disk("bios", "uefi"), "qcow2")),
    "vmdk-sparse": ("vmdk", made("vmdk", 64 * MIB, "subformat=monolithicSparse")),
    "vmdk-scsi": ("vmdk", made("vmdk", 64 * MIB, "subformat=monolithicSparse", "adapter_type=lsilogic")),
    "vmdk-zeroed-grains": ("vmdk", made("vmdk", 64 * MIB, "subformat=monolithicSparse", "zeroed_grain=on")),
    "vmdk-large": ("vmdk", made("vmdk", 1 << 40, "subformat=monolithicSparse")),
    "vmdk-stream": (
        "vmdk",
        lambda _: converted(tiny_disk("bios"), "vmdk", "-o", "subformat=streamOptimized"),
    ),
    "raw": ("raw", made("raw", 64 * MIB)),
    "raw-odd-size": ("raw", lambda folder: text(folder / "x", b"x" * 1000)),
    "raw-bootable": ("raw", bios),
    "iso-ipxe": ("iso", lambda _: package_image("ipxe")),
    "iso-memtest": ("iso", lambda _: package_image("memtest")),
    "iso-grub": ("iso", lambda _: package_image("grub")),
    "iso-hybrid": ("iso", lambda _: hybrid_iso()),
}


def text(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", list(GOOD))
def test_format_and_virtual_size_are_what_qemu_img_says(name: str, tmp_path: Path) -> None:
    declared, make = GOOD[name]
    path = make(tmp_path)
    qemu = info(path, declared)
    for block in (17, 512, 65536, 1 << 20):
        with path.open("rb") as file, LocalReader(path) as reader:
            inspector = Inspector(LIMIT)
            while data := file.read(block if file.tell() < 2 * MIB else max(block, 65536)):
                inspector.feed(memoryview(data))
            inspector.finish()
            verdict = inspector.finish_from(reader)
        assert (verdict.format, verdict.virtual_size_bytes) == (declared, qemu.virtual_size_bytes)
        assert errors(verdict) == []
    with LocalReader(path) as reader:
        assert inspect_reader(reader, LIMIT) == verdict


def test_tables_that_pass_before_what_points_to_them_are_judged_from_the_stored_file(tmp_path: Path) -> None:
    path = resized(tmp_path)
    with path.open("r+b") as file:
        data = file.read()
        file.truncate(len(data) - 8192)
    with LocalReader(path) as reader:
        inspector = Inspector(LIMIT)
        inspector.feed(memoryview(path.read_bytes()))
        inspector.finish()
        assert errors(inspector.finish_from(reader))

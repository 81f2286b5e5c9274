"""A file cut at any byte is refused, or nothing that a guest sees is missing: qemu-img compares it with the whole one."""

import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycdlib import PyCdlib

from catalog.records import Verdict
from storage.formats.inspector import inspect_reader
from tests.services.images import need
from tests.storage.corpus_builders import CLUSTER, bootable, deflated, patched, qcow2, stream_vmdk, udf
from tests.storage.formats.readers import LIMIT, Memory, errors, judged

MIB = 1 << 20
COMPRESSED = 1 << 62
KINDS: dict[str, tuple[str, ...]] = {
    "qcow2": ("qcow2",),
    "qcow2-zlib": ("qcow2", "-c"),
    "qcow2-zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "qcow2-zlib-4k": ("qcow2", "-c", "-o", "cluster_size=4096"),
    "qcow2-4k": ("qcow2", "-o", "cluster_size=4096"),
    "qcow2-2m": ("qcow2", "-o", "cluster_size=2097152"),
    "qcow2-old": ("qcow2", "-o", "compat=0.10"),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
}


@pytest.fixture(scope="module", autouse=True)
def let_go() -> Iterator[None]:
    """Keep no disk longer than this file is at work: they are 60 MB."""
    yield
    made.cache_clear()


def qemu_img(*words: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["qemu-img", *map(str, words)], capture_output=True, check=False)


@cache
def made(kind: str, odd_bytes: int) -> tuple[bytes, bytes]:
    """Return a disk of holes, text and noise, and an image of it."""
    need("qemu-img")
    chance = random.Random(7)
    disk = bytearray(2 * MIB)
    for start in range(0, len(disk), CLUSTER):
        size = chance.choice((0, 0, 2000, 30_000, CLUSTER))
        disk[start : start + size] = chance.randbytes(size)
    disk += chance.randbytes(odd_bytes)
    image_format, *options = KINDS[kind]
    with TemporaryDirectory() as folder:
        raw, image = Path(folder, "disk.raw"), Path(folder, "image")
        raw.write_bytes(disk)
        done = qemu_img("convert", "-m", 1, "-f", "raw", "-O", image_format, *options, raw, image)
        assert done.returncode == 0, done.stderr
        return bytes(disk), image.read_bytes()


def sees_the_same(image: bytes, image_format: str, disk: bytes) -> bool:
    with TemporaryDirectory() as folder:
        Path(folder, "image").write_bytes(image)
        Path(folder, "disk.raw").write_bytes(disk)
        paths = Path(folder, "image"), Path(folder, "disk.raw")
        return qemu_img("compare", "-f", image_format, "-F", "raw", *paths).returncode == 0


def stored(content: bytes) -> Verdict:
    return inspect_reader(Memory(content), LIMIT)


def refused_or_whole(kind: str, odd_bytes: int, length: int) -> None:
    disk, whole = made(kind, odd_bytes)
    cut = whole[: length % len(whole)]
    verdict = stored(cut)
    if not errors(verdict) and verdict.format == KINDS[kind][0]:
        assert sees_the_same(cut, KINDS[kind][0], disk)


@pytest.mark.parametrize("odd_bytes", [0, 1536])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_whole_image_passes(kind: str, odd_bytes: int) -> None:
    disk, whole = made(kind, odd_bytes)
    assert errors(stored(whole)) == []
    assert sees_the_same(whole, KINDS[kind][0], disk)


@pytest.mark.parametrize("odd_bytes", [0, 1536])
@pytest.mark.parametrize("kind", list(KINDS))
def test_an_image_cut_near_its_end_is_refused_or_nothing_of_it_is_lost(kind: str, odd_bytes: int) -> None:
    for missing in (1, 2, 3, 100, 511, 512, 513, 1024, 1025, 1600, 4096, 65535, 65536, 65537, 100_000):
        refused_or_whole(kind, odd_bytes, len(made(kind, odd_bytes)[1]) - missing)


@given(st.sampled_from(list(KINDS)), st.sampled_from([0, 1536]), st.integers(1, 16 * MIB))
@settings(max_examples=120, deadline=None)
def test_an_image_cut_anywhere_is_refused_or_nothing_of_it_is_lost(kind: str, odd: int, length: int) -> None:
    refused_or_whole(kind, odd, length)


def test_what_qemu_reads_of_a_cut_compressed_image_is_not_what_was_in_it() -> None:
    """The reason for all this: without our rule, nobody would notice."""
    disk, whole = made("qcow2-zlib", 0)
    cut = whole[: len(whole) - 1024]
    assert not sees_the_same(cut, "qcow2", disk)
    assert "qcow2.truncated" in errors(stored(cut))


def test_compressed_data_behind_which_the_file_is_not_padded_are_whole_to_the_last_byte_or_refused() -> None:
    packed = deflated(bytes(CLUSTER - 2000) + random.Random(1).randbytes(2000))
    entry = COMPRESSED | ((len(packed) - 1) // 512) << 54 | 5 * CLUSTER
    image = qcow2(l2=(entry,))[: 5 * CLUSTER] + packed
    assert len(image) % 512
    assert errors(stored(image)) == []
    for missing in (3, 50, 400):  # the last byte or two only say that the data end
        assert "qcow2.truncated" in errors(stored(image[:-missing]))


def snapshot_made(folder: Path) -> bytes:
    """An image whose snapshot alone holds the last clusters."""
    need("qemu-img", "qemu-io")
    path = folder / "image.qcow2"
    commands = (
        ("qemu-img", "create", "-q", "-f", "qcow2", path, "64M"),
        ("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", path),
        ("qemu-img", "snapshot", "-c", "before", path),
        ("qemu-io", "-f", "qcow2", "-c", "write -P 2 0 1M", path),
        ("qemu-io", "-f", "qcow2", "-c", "write -P 3 32M 1M", path),
        ("qemu-img", "snapshot", "-c", "after", path),
        ("qemu-io", "-f", "qcow2", "-c", "discard 32M 1M", path),
    )
    for command in commands:
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return path.read_bytes()


def test_what_only_a_snapshot_holds_is_looked_for_as_well(tmp_path: Path) -> None:
    whole = snapshot_made(tmp_path)
    assert errors(stored(whole)) == []
    path, refused = tmp_path / "cut.qcow2", 0
    for missing in range(512, 3 * MIB, 200 << 10):
        cut = whole[: len(whole) - missing]
        path.write_bytes(cut)
        sound = all(
            qemu_img("convert", "-l", name, "-O", "raw", path, tmp_path / name).returncode == 0
            for name in ("before", "after")
        )
        same = sound and all(
            (tmp_path / name).read_bytes() == as_before(whole, name, tmp_path) for name in ("before", "after")
        )
        refused += bool(errors(stored(cut)))
        assert errors(stored(cut)) or same, f"{missing} bytes of a snapshot are missing, nobody says so"
    assert refused


def as_before(whole: bytes, name: str, folder: Path) -> bytes:
    (folder / "whole.qcow2").write_bytes(whole)
    qemu_img("convert", "-l", name, "-O", "raw", folder / "whole.qcow2", folder / "whole.raw")
    return (folder / "whole.raw").read_bytes()


def lost(image: bytes, at: int, number: int) -> bytes:
    return patched(image, at, struct.pack(">Q", number))


BEYOND = 1 << 30
POINTERS: dict[str, Callable[[], bytes]] = {
    "an L2 table's second half": lambda: qcow2(l1=(5 * CLUSTER,), clusters=6)[: 5 * CLUSTER + CLUSTER // 2],
    "a cluster's second half": lambda: qcow2()[: 5 * CLUSTER + CLUSTER // 2],
    "a block of reference counts": lambda: lost(qcow2(), CLUSTER, BEYOND),
    "the second block of reference counts": lambda: lost(qcow2(), CLUSTER + 8, BEYOND),
    "the sectors of a compressed cluster": lambda: qcow2(l2=(COMPRESSED | 2 << 54 | (6 * CLUSTER - 1024),)),
}  # fmt: skip


@pytest.mark.parametrize("what", list(POINTERS))
def test_whatever_the_tables_of_a_qcow2_name_must_lie_in_the_file_whole(what: str) -> None:
    assert "qcow2.truncated" in errors(stored(POINTERS[what]()))


def bitmaps(folder: Path) -> bytes:
    need("qemu-img")
    path = folder / "image.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "64M")
    for name in ("one", "two"):
        assert qemu_img("bitmap", "--add", "-f", "qcow2", path, name).returncode == 0
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 1M", str(path)], check=True, capture_output=True)
    return path.read_bytes()


def test_bitmaps_must_lie_in_the_file(tmp_path: Path) -> None:
    whole = bitmaps(tmp_path)
    assert errors(stored(whole)) == []
    at = whole.index(struct.pack(">II", 0x23852875, 24)) + 8
    for name, place in {"directory size": at + 8, "directory": at + 16}.items():
        assert "qcow2.bitmaps" in errors(stored(lost(whole, place, BEYOND))), name
    (directory,) = struct.unpack_from(">Q", whole, at + 16)
    assert "qcow2.truncated" in errors(stored(lost(whole, directory, BEYOND)))
    (table,) = struct.unpack_from(">Q", whole, directory)
    assert "qcow2.truncated" in errors(stored(lost(whole, table, BEYOND)))
    assert "qcow2.bitmaps" in errors(stored(patched(whole, at, struct.pack(">I", 3))))


def test_a_copy_of_the_grain_directory_must_lie_in_the_file() -> None:
    _, whole = made("vmdk", 0)
    assert "vmdk.grain-directory" in errors(judged(patched(whole, 48, struct.pack("<Q", BEYOND)), 65536))


def test_a_stream_without_its_footer_is_cut() -> None:
    whole = stream_vmdk()
    assert errors(stored(whole)) == []
    assert "vmdk.no-footer" in errors(stored(whole[:-512]))


def test_tables_that_claim_much_cost_little() -> None:
    """An attacker's snapshots and bitmaps all name the same large tables; reading them again and again would take hours."""
    entry = (
        struct.pack(">QIHHQQII", 3 * CLUSTER, 1 << 22, 1, 1, 0, 0, 0, 24) + struct.pack(">QQQ", 0, 64 * MIB, 0) + b"1n"
    )
    entries = b"".join(struct.pack(">Q", (3 + n) * CLUSTER) + entry[8:].ljust(64, b"\0") for n in range(2000))
    reader = Memory(qcow2(snapshots=2000, snapshot_table=entries))
    assert errors(inspect_reader(reader, LIMIT))
    assert reader.bytes_read < 300 * MIB
    assert sys.getsizeof(reader.content) < MIB


BOOT_IMAGES = {
    "whole": (bootable(50), None),
    "at the end": (bootable(511), None),
    "gone": (bootable(512), "iso.boot-image"),
    "far away": (bootable(0xFFFFFFFF), "iso.boot-image"),
    "larger than the file": (bootable(511, count=0xFFFF), "iso.boot-image-cut"),
    "with a lost catalog": (bootable(50, catalog_sector=600), "iso.boot-catalog"),
}


@pytest.mark.parametrize("name", list(BOOT_IMAGES))
def test_boot_images_of_an_iso_must_lie_in_the_file(name: str) -> None:
    content, rule = BOOT_IMAGES[name]
    assert [f.rule for f in stored(content).findings] == ([rule] if rule else [])
    assert stored(content) == judged(content, 65536)


UDF = {
    "whole": (udf(700), None),
    "lacking its padding": (udf(900), None),
    "cut in the middle": (udf(100_000), "iso.udf-truncated"),
    "endless": (udf(0xFFFFFFFF), "iso.udf-truncated"),
    "cut before it begins": (udf(700)[: 400 << 10], "iso.udf-short"),
}


@pytest.mark.parametrize("name", list(UDF))
def test_the_udf_volume_of_a_medium_must_lie_in_the_file(name: str) -> None:
    content, rule = UDF[name]
    assert errors(stored(content)) == ([rule] if rule else [])


def test_a_real_medium_with_udf_is_cut_or_whole(tmp_path: Path) -> None:
    content, path = random.Random(1).randbytes(3 * MIB), tmp_path / "disk.iso"
    medium = PyCdlib()
    medium.new(udf="2.60")
    medium.add_fp(BytesIO(content), len(content), "/LARGE.;1", udf_path="/large")
    medium.write(str(path))
    assert errors(stored(path.read_bytes())) == []
    assert "iso.udf-truncated" in errors(stored(path.read_bytes()[: 2 * MIB]))

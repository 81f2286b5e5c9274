"""qcow2 and VMDK become raw inside the pool: the same guest content, sparse, proven, resumable."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from catalog.errors import ConversionFailed
from catalog.records import ImageFormat
from storage.ceph import CephStorage
from storage.ceph.proof import Before, Prover
from storage.protocols import LandingConverter, Progress
from tests.services.ceph import CephCluster
from tests.services.process import find
from tests.storage.ceph.conftest import image_record, open_storage
from tests.storage.ceph.content import MIB, digests_of, land, random_bytes, read_all, sparse_file

SILENT: Progress = lambda _done, _total: None  # noqa: E731
GUEST = sparse_file((3 * MIB, 9 * MIB), (MIB + 512, 5 * MIB), (6 * MIB, 40 * MIB)) + bytes(10 * MIB - 512)
KINDS: dict[str, tuple[ImageFormat, list[str]]] = {
    "qcow2": ("qcow2", []),
    "compressed qcow2": ("qcow2", ["-c"]),
    "zstd qcow2": ("qcow2", ["-c", "-o", "compression_type=zstd"]),
    "small clusters": ("qcow2", ["-o", "cluster_size=4096"]),
    "preallocated": ("qcow2", ["-o", "preallocation=metadata"]),
    "old qcow2": ("qcow2", ["-o", "compat=0.10"]),
    "vmdk": ("vmdk", []),
    "stream-optimized vmdk": ("vmdk", ["-o", "subformat=streamOptimized"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_sees_the_same_before_and_after(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path, kind: str
) -> None:
    image_format, options = KINDS[kind]
    file = made(tmp_path, GUEST, image_format, options)
    land(ceph, "a", file.read_bytes())
    seen: list[int] = []
    assert isinstance(ceph, LandingConverter)
    converted = ceph.convert_landing("a", image_format, "a.raw", lambda done, _total: seen.append(done))
    assert (converted.format, converted.size_bytes) == ("raw", len(GUEST))
    assert seen == sorted(seen)
    assert converted.stored_bytes <= 11 * MIB
    assert ceph.convert_landing("a", image_format, "a.raw", SILENT) == converted
    replica = ceph.publish("a.raw", image_record("image", image_format), None)
    assert (replica.format, replica.size_bytes) == ("raw", len(GUEST))
    ceph.landing("a").discard()
    assert read_all(ceph, "image") == GUEST
    assert ceph.verify("image")[0].items == ()
    assert ceph.export("image", tmp_path / "out.raw", SILENT) == digests_of(GUEST)
    (found,) = ceph.images()
    assert found.replica.md5 == digests_of(GUEST).md5
    assert len(cluster.data_objects(pool)) <= 6


def test_holes_cost_nothing_however_large(ceph: CephStorage, tmp_path: Path) -> None:
    file = tmp_path / "huge.qcow2"
    qemu_img("create", "-f", "qcow2", file, "2T")
    land(ceph, "a", file.read_bytes())
    converted = ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
    assert (converted.size_bytes, converted.stored_bytes) == (2 << 40, 0)
    ceph.landing("a.raw").discard()


def test_a_conversion_that_broke_off_goes_on_where_it_was(ceph: CephStorage, tmp_path: Path) -> None:
    guest = random_bytes(60 * MIB)
    land(ceph, "a", made(tmp_path, guest, "vmdk", []).read_bytes())

    class Died(BaseException):
        pass

    def die(done: int, _total: int | None) -> None:
        if done >= 40 * MIB:
            raise Died

    with suppress(Died):
        ceph.convert_landing("a", "vmdk", "a.raw", die)
    seen: list[int] = []
    ceph.convert_landing("a", "vmdk", "a.raw", lambda done, _total: seen.append(done))
    assert seen[0] > 40 * MIB
    ceph.publish("a.raw", image_record("image", "vmdk"), None)
    assert read_all(ceph, "image") == guest


def test_another_file_under_the_same_name_is_converted_anew(ceph: CephStorage, tmp_path: Path) -> None:
    for seed in (1, 2):
        guest = random_bytes(5 * MIB, seed)
        land(ceph, "a", made(tmp_path, guest, "qcow2", []).read_bytes())
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
    ceph.publish("a.raw", image_record("image", "qcow2"), None)
    assert read_all(ceph, "image") == random_bytes(5 * MIB, seed=2)


def test_a_damaged_file_is_refused_with_a_sentence(ceph: CephStorage, tmp_path: Path) -> None:
    file = bytearray(made(tmp_path, b"imagewright " * MIB, "qcow2", ["-c"]).read_bytes())
    file[5 * 65536 + 100 :] = random_bytes(len(file) - 5 * 65536 - 100, seed=7)
    land(ceph, "a", bytes(file))
    with pytest.raises(ConversionFailed, match="converting qcow2 to raw failed"):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)


def test_content_that_differs_is_not_proven(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    land(ceph, "a", GUEST)
    land(ceph, "b", b"x" + GUEST[1:])
    prover = Prover(ceph.address, None, tmp_path)
    before = Before(ceph.landing("a").name, "raw")
    objects = tuple(ceph.landing("b").open().extents())
    prover.prove(before, ceph.landing("a").name, objects, len(GUEST), SILENT)
    with pytest.raises(ConversionFailed, match="would not see the same bytes"):
        prover.prove(before, ceph.landing("b").name, objects, len(GUEST), SILENT)


def test_a_secret_key_is_enough_and_is_not_left_behind(
    cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    storage = open_storage(
        cluster, pool, credentials=cluster.key("client.images"), scratch=tmp_path / "scratch"
    )
    land(storage, "a", made(tmp_path, GUEST, "qcow2", []).read_bytes())
    storage.convert_landing("a", "qcow2", "a.raw", SILENT)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("added", ["raw", "iso", "qcow2", "vmdk"])
def test_raw_and_iso_are_kept_bit_for_bit(ceph: CephStorage, added: ImageFormat) -> None:
    kept = ceph.stored_format(added)
    assert kept == {"raw": "raw", "iso": "iso"}.get(added, "raw")


def made(folder: Path, guest: bytes, image_format: str, options: list[str]) -> Path:
    """Make a disk image of a guest's content with qemu-img."""
    raw, file = folder / "guest.raw", folder / f"guest.{image_format}"
    raw.write_bytes(guest)
    qemu_img("convert", "-f", "raw", "-O", image_format, *options, raw, file)
    return file


def qemu_img(*words: str | Path) -> None:
    """Run qemu-img, or skip."""
    subprocess.run([find("qemu-img", "qemu-utils"), *words], check=True, capture_output=True, timeout=60)

"""qcow2 and VMDK become raw inside the pool: the same guest content, sparse, proven, resumable."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ConversionFailed, DigestMismatch, MissingProgram
from catalog.records import ImageFormat
from storage.ceph import CephStorage
from storage.ceph.conversion import proof
from storage.ceph.layout import OBJECT_BYTES, object_count
from storage.ceph.qcow2.placement import Placement, unfoldable
from storage.formats.convert import write_sparse
from storage.nbd.server import Given
from storage.programs import qemu_img as qemu
from storage.protocols import LandingConverter, Progress
from tests.services.ceph import CephCluster
from tests.services.payload import payload, random_bytes
from tests.services.process import find
from tests.storage.ceph.conftest import image_record, open_storage
from tests.storage.ceph.content import MIB, digests_of, land, read_all, sparse_file

CLUSTER = 64 << 10
SILENT: Progress = lambda _done, _total: None  # noqa: E731


@payload
def guest_bytes() -> bytes:
    return sparse_file((3 * MIB, 9 * MIB), (MIB + 512, 5 * MIB), (6 * MIB, 9 * MIB)) + bytes(6 * MIB - 512)


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
    file, digests = made(tmp_path, guest_bytes(), image_format, options), digests_of(guest_bytes())
    land(ceph, "a", file.read_bytes())
    seen: list[int] = []
    assert isinstance(ceph, LandingConverter)
    converted = ceph.convert_landing("a", image_format, "a.raw", lambda done, _total: seen.append(done))
    assert (converted.format, converted.size_bytes) == ("raw", len(guest_bytes()))
    assert seen == sorted(seen)
    assert converted.stored_bytes <= 11 * MIB
    assert ceph.convert_landing("a", image_format, "a.raw", SILENT) == converted
    replica = ceph.publish(converted.landing_id, image_record("image", image_format), None)
    assert (replica.format, replica.size_bytes) == ("raw", len(guest_bytes()))
    ceph.landing("a").discard()
    assert read_all(ceph, "image") == guest_bytes()
    assert ceph.verify("image")[0].items == ()
    assert ceph.export("image", tmp_path / "out.raw", SILENT) == digests
    (found,) = ceph.images()
    assert found.replica.md5 == digests.md5
    assert len(cluster.data_objects(pool)) <= 6


@pytest.mark.parametrize("kind", ["compressed qcow2", "vmdk"])
def test_what_will_be_published_can_be_read_and_booted_before(ceph: CephStorage, tmp_path: Path, kind: str) -> None:
    image_format, options = KINDS[kind]
    land(ceph, "a", made(tmp_path, guest_bytes(), image_format, options).read_bytes())
    converted = ceph.convert_landing("a", image_format, "a.raw", SILENT)
    with closing(ceph.landing(converted.landing_id)) as landing:
        write_sparse(landing.open(), tmp_path / "booted.raw", SILENT)
    assert (tmp_path / "booted.raw").read_bytes() == guest_bytes()
    ceph.publish(converted.landing_id, image_record("image", image_format), None)
    assert read_all(ceph, "image") == guest_bytes()


def test_holes_cost_nothing_however_large(ceph: CephStorage, tmp_path: Path) -> None:
    file = tmp_path / "huge.qcow2"
    qemu_img("create", "-f", "qcow2", file, "2T")
    land(ceph, "a", file.read_bytes())
    converted = ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
    assert (converted.size_bytes, converted.stored_bytes) == (2 << 40, 0)
    ceph.landing("a").discard()


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
    ceph.publish("a", image_record("image", "qcow2"), None)
    assert read_all(ceph, "image") == random_bytes(5 * MIB, seed=2)


def test_a_damaged_file_is_refused_with_a_sentence(ceph: CephStorage, tmp_path: Path) -> None:
    file = bytearray(made(tmp_path, b"imagewright " * MIB, "qcow2", ["-c"]).read_bytes())
    file[5 * 65536 + 100 :] = random_bytes(len(file) - 5 * 65536 - 100, seed=7)
    land(ceph, "a", bytes(file))
    with pytest.raises(ConversionFailed, match="converting qcow2 to raw failed"):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)


def test_a_file_that_is_damaged_in_the_pool_is_not_converted(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    land(ceph, "a", made(tmp_path, text(9 * MIB), "qcow2", ["-c"]).read_bytes())
    cluster.write_object(pool, cluster.data_objects(pool)[-1], b"\1\2", offset=1000)
    with pytest.raises(DigestMismatch):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)


def test_a_place_that_qemu_does_not_name_is_not_believed(tmp_path: Path) -> None:
    file = memoryview(made(tmp_path, guest_bytes(), "qcow2", []).read_bytes())
    header = unfoldable(file)
    assert header is not None
    placement = Placement(header)
    for index in range(object_count(len(file))):
        placement.feed(index, file[index * OBJECT_BYTES : (index + 1) * OBJECT_BYTES])
    with serving(file) as served:
        extents = qemu.extents(served, "qcow2", len(guest_bytes()))
    found = proof.sort_out(extents, placement, len(file))
    assert found.moved
    assert found.unmoved == []
    proof.prove(extents, found, placement, len(file))
    lies = (
        [extent._replace(host=None if extent.host is None else extent.host + CLUSTER) for extent in extents],
        [extent._replace(is_zero=True, host=None) for extent in extents],
        extents[:-1],
        (),
    )
    for lie in lies:
        with pytest.raises(ConversionFailed, match="would not see the same bytes"):
            proof.prove(lie, proof.sort_out(lie, placement, len(file)), placement, len(file))


def test_a_compressed_file_whose_conversion_broke_off_is_not_copied_twice(ceph: CephStorage, tmp_path: Path) -> None:
    guest = b"".join(text(MIB, seed) + bytes(MIB) for seed in range(20))
    land(ceph, "a", made(tmp_path, guest, "qcow2", ["-c"]).read_bytes())

    class Died(BaseException):
        pass

    def die(done: int, _total: int | None) -> None:
        raise Died(done)

    with pytest.raises(Died) as death:
        ceph.convert_landing("a", "qcow2", "a.raw", die)
    seen: list[int] = []
    converted = ceph.convert_landing("a", "qcow2", "a.raw", lambda done, _total: seen.append(done))
    assert death.value.args[0] not in seen
    assert converted.stored_bytes == 20 * MIB
    ceph.publish("a", image_record("image", "qcow2"), None)
    assert read_all(ceph, "image") == guest


def test_without_qemu_img_the_package_is_named(
    ceph: CephStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(ceph, "a", made(tmp_path, guest_bytes(), "qcow2", []).read_bytes())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgram, match="qemu-img is not installed on this worker; install qemu-utils"):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)


def test_a_bare_key_is_enough(cluster: CephCluster, pool: str, tmp_path: Path) -> None:
    storage = open_storage(cluster, pool, credentials=cluster.key("client.images"))
    land(storage, "a", made(tmp_path, guest_bytes(), "qcow2", ["-c"]).read_bytes())
    assert storage.convert_landing("a", "qcow2", "a.raw", SILENT).size_bytes == len(guest_bytes())


@given(data=st.data())
def test_parts_hold_all_that_was_not_moved_and_no_byte_twice(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 5 << 30))
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=12)) | {0, size})
    kinds = data.draw(st.lists(st.sampled_from(["moved", "unmoved", "zeros"]), min_size=13, max_size=13))
    ranges = list(zip(pairwise(cuts), kinds, strict=False))
    found = proof.Sorted([r for r, kind in ranges if kind == "moved"], [r for r, kind in ranges if kind == "unmoved"])
    parts = proof.parts_to_copy(found, size, data.draw(st.integers(1, 8)))
    assert parts == sorted(parts)
    assert all(a[1] <= b[0] for a, b in pairwise(parts))
    assert all(start % OBJECT_BYTES == 0 and (end % OBJECT_BYTES == 0 or end == size) for start, end in parts)
    for start, end in found.unmoved:
        covered = sum(max(0, min(end, last) - max(start, first)) for first, last in parts)
        assert covered == end - start


@pytest.mark.parametrize("added", ["raw", "iso", "qcow2", "vmdk"])
def test_raw_and_iso_are_kept_bit_for_bit(ceph: CephStorage, added: ImageFormat) -> None:
    kept = ceph.stored_format(added)
    assert kept == {"raw": "raw", "iso": "iso"}.get(added, "raw")


def text(size: int, seed: int = 1) -> bytes:
    """Return bytes that can be compressed."""
    return random_bytes(size // 2, seed).hex().encode()


class InMemory:
    """Bytes to be served."""

    def __init__(self, data: memoryview) -> None:
        self._data, self.size_bytes = data, len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes."""
        return bytes(self._data[offset : offset + size])


@contextmanager
def serving(data: memoryview) -> Iterator[int]:
    """Serve bytes at a socket."""
    given = Given(InMemory(data))
    try:
        yield given.descriptor
    finally:
        assert given.end() is None


def made(folder: Path, guest: bytes, image_format: str, options: list[str]) -> Path:
    """Make a disk image of a guest's content with qemu-img."""
    raw, file = folder / "guest.raw", folder / f"guest.{image_format}"
    raw.write_bytes(guest)
    qemu_img("convert", "-f", "raw", "-O", image_format, *options, raw, file)
    return file


def qemu_img(*words: str | Path) -> None:
    """Run qemu-img, or skip."""
    subprocess.run([find("qemu-img", "qemu-utils"), *words], check=True, capture_output=True, timeout=60)

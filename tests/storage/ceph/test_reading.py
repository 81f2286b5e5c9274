"""Reading, exporting, verifying, repairing: no byte is handed out that was not stored."""

from pathlib import Path

import pytest

from catalog.errors import DigestMismatch, ImageNotFound, InvalidRequest
from storage.ceph import CephStorage
from storage.protocols import Progress
from tests.services.ceph import CephCluster
from tests.services.payload import payload, random_bytes
from tests.storage.ceph.conftest import image_record
from tests.storage.ceph.content import MIB, OBJECT, add, digests_of, land, read_all, sparse_file

SIZE = 5 * OBJECT + 82


@payload
def content() -> bytes:
    return sparse_file((OBJECT, 2 * OBJECT), (OBJECT + 5, OBJECT), (77, 0))


SILENT: Progress = lambda _done, _total: None  # noqa: E731


@pytest.fixture
def image(ceph: CephStorage) -> str:
    add(ceph, "image", content())
    return "image"


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (OBJECT - 3, 7), (3 * OBJECT - 1, OBJECT + 9), (SIZE - 5, 99)])
def test_any_range_reads_right(ceph: CephStorage, image: str, offset: int, size: int) -> None:
    reader = ceph.open(image)
    assert reader.size_bytes == len(content()) == SIZE
    assert reader.read_at(offset, size) == content()[offset : offset + size]
    assert reader.read_at(len(content()), 10) == b""
    reader.close()


def test_extents_cover_the_file_and_holes_are_zeros(ceph: CephStorage, image: str) -> None:
    reader = ceph.open(image)
    extents = list(reader.extents())
    assert [start for start, _, _ in extents] == [0, *(end for _, end, _ in extents[:-1])]
    assert extents[-1][1] == len(content())
    holes = [(start, end) for start, end, hole in extents if hole]
    assert holes == [(OBJECT, 3 * OBJECT)]
    reader.close()


def test_an_export_is_the_file_sparse_and_measured(ceph: CephStorage, image: str, tmp_path: Path) -> None:
    target, seen = tmp_path / "out.raw", []
    digests = ceph.export(image, target, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == content()
    assert digests == digests_of(content())
    assert target.stat().st_blocks * 512 < 2 * OBJECT + MIB
    assert seen[-1] == (len(content()), len(content()))
    assert seen == sorted(seen)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("damage", ["changed", "lost", "grown where there was a hole"])
def test_damage_is_named_never_handed_out_and_repaired(
    ceph: CephStorage, image: str, cluster: CephCluster, pool: str, tmp_path: Path, damage: str
) -> None:
    at = _damage(cluster, pool, damage)
    report, following = ceph.verify(image)
    assert following is None
    assert [item.subject for item in report.items] == [f"image@{at}"]
    assert report.items[0].outcome == "failed"
    if damage != "grown where there was a hole":  # a hole is not read: it is zeros whatever lies there
        with pytest.raises(DigestMismatch, match=f"at byte {at}"):
            read_all(ceph, image)
        with pytest.raises(DigestMismatch, match=f"at byte {at}"):
            ceph.export(image, tmp_path / "out.raw", SILENT)
        assert list(tmp_path.iterdir()) == []
    ceph.repair_object(image, at, content()[at : at + OBJECT])
    assert ceph.verify(image)[0].items == ()
    assert read_all(ceph, image) == content()


def test_a_repair_reaches_clones_that_exist(ceph: CephStorage, image: str, cluster: CephCluster, pool: str) -> None:
    cluster.rbd("clone", f"{pool}/imagewright.image.image@published", f"{pool}/vm")
    at = _damage(cluster, pool, "changed")
    ceph.repair_object(image, at, content()[at : at + OBJECT])
    exported = cluster.folder / f"{pool}.vm"
    cluster.rbd("export", f"{pool}/vm", str(exported), "--no-progress")
    assert exported.read_bytes() == content()


def test_only_the_bytes_that_were_stored_repair_an_object(ceph: CephStorage, image: str) -> None:
    with pytest.raises(DigestMismatch):
        ceph.repair_object(image, 0, random_bytes(OBJECT, seed=9))
    with pytest.raises(InvalidRequest):
        ceph.repair_object(image, 5, content()[5:10])
    assert read_all(ceph, image) == content()


def test_damaged_digests_are_noticed(ceph: CephStorage, image: str, cluster: CephCluster, pool: str) -> None:
    (rows,) = [name for name in cluster.objects(pool) if name.startswith("imagewright_rows.")]
    cluster.write_object(pool, rows, b"\1" * 32, offset=32)
    with pytest.raises(DigestMismatch, match="digests of"):
        ceph.open(image)
    with pytest.raises(DigestMismatch, match="digests of"):
        ceph.verify(image)


def test_verifying_in_steps_reads_everything_once(ceph: CephStorage, image: str) -> None:
    first, read, objects = 0, 0, 0
    steps = 0
    following: int | None = 0
    while following is not None:
        report, following = ceph.verify(image, first_object=first, budget_bytes=OBJECT)
        read, objects, steps = read + report.bytes_read, objects + report.chips_read, steps + 1
        first = following or 0
    assert steps >= 3
    assert objects == -(-len(content()) // OBJECT)
    assert read == len(content()) - 2 * OBJECT


def test_a_proof_that_reads_all_of_a_file_measures_it(ceph: CephStorage) -> None:
    land(ceph, "a", content())
    ceph.publish("a", image_record("image"), None)
    ceph.verify("image", budget_bytes=OBJECT)
    assert ceph.measured("image") is None
    assert ceph.verify("image")[0].items == ()
    assert ceph.measured("image") == digests_of(content())
    (found,) = ceph.images()
    assert found.replica.md5 == digests_of(content()).md5


def test_a_damaged_file_is_not_measured(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    land(ceph, "a", content())
    ceph.publish("a", image_record("image"), None)
    _damage(cluster, pool, "changed")
    assert ceph.verify("image")[0].items != ()
    assert ceph.measured("image") is None


def test_what_is_not_there_is_not_read(ceph: CephStorage, tmp_path: Path) -> None:
    for call in (ceph.open, ceph.verify, ceph.clones, ceph.measured):
        with pytest.raises(ImageNotFound):
            call("none")
    with pytest.raises(ImageNotFound):
        ceph.export("none", tmp_path / "out", SILENT)


def _damage(cluster: CephCluster, pool: str, how: str) -> int:
    """Damage an object behind RBD's back and return the offset of its first byte in the file."""
    names = cluster.data_objects(pool)
    if how == "lost":
        cluster.remove_object(pool, names[1])
        return 3 * OBJECT
    if how == "changed":
        cluster.write_object(pool, names[1], b"\0" * 10, offset=1000)
        return 3 * OBJECT
    prefix = names[0].rpartition(".")[0]
    cluster.write_object(pool, f"{prefix}.{1:016x}", b"x" * 10)
    cluster.rbd("object-map", "rebuild", f"{pool}/imagewright.image.image@published", "--no-progress")
    return OBJECT

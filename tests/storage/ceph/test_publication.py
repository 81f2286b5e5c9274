"""Publishing and deleting: whole or not at all, at whatever step the worker dies."""

from contextlib import suppress

import pytest

from catalog.errors import DigestMismatch, ImageNotFound, ReplicaInUse, StaleLanding
from storage.ceph import CephStorage
from storage.ceph.layout import landing_name, published_name
from tests.services.ceph import CephCluster
from tests.services.payload import payload, random_bytes
from tests.storage.ceph.conftest import image_record, open_storage
from tests.storage.ceph.content import OBJECT, add, digests_of, land, read_all, sparse_file
from tests.storage.ceph.dying import Died, dying


@payload
def content() -> bytes:
    return sparse_file((OBJECT + 10, OBJECT), (99, 0))


PUBLISHING = range(1, 7)  # three pieces of metadata, snapshot, protection, rename
DELETING = range(1, 4)  # protection, snapshot, image


def test_a_published_image_describes_itself(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    land(ceph, "a", content())
    replica = ceph.publish("a", image_record("image", "iso"), digests_of(content()))
    assert (replica.size_bytes, replica.sha256, replica.format) == (
        len(content()),
        digests_of(content()).sha256,
        "iso",
    )
    assert replica.location == f"{pool}/imagewright.image.image"
    (found,) = open_storage(cluster, pool).images()
    assert found.image == image_record("image", "iso")
    assert found.replica == replica
    assert ceph.contains("image")
    assert not ceph.contains("another")
    assert (
        cluster.rbd("snap", "ls", f"{pool}/imagewright.image.image", "--format=json").count('"protected":"true"') == 1
    )


def test_publishing_twice_keeps_one_copy(ceph: CephStorage) -> None:
    land(ceph, "a", content())
    first = ceph.publish("a", image_record("image"), digests_of(content()))
    assert ceph.publish("a", image_record("image"), digests_of(content())) == first
    land(ceph, "a", content())
    assert ceph.publish("a", image_record("image"), digests_of(content())) == first
    assert list(ceph.landings()) == []
    assert len(list(ceph.images())) == 1


def test_other_bytes_never_replace_a_published_image(ceph: CephStorage) -> None:
    add(ceph, "image", content())
    other = random_bytes(len(content()), seed=5)
    land(ceph, "b", other)
    with pytest.raises(DigestMismatch):
        ceph.publish("b", image_record("image"), digests_of(other))
    assert read_all(ceph, "image") == content()


def test_what_is_not_there_or_not_finished_is_not_published(ceph: CephStorage) -> None:
    with pytest.raises(StaleLanding):
        ceph.publish("none", image_record("image"), digests_of(content()))
    landing = ceph.landing("a")
    landing.write(memoryview(content()))
    landing.close()
    with pytest.raises(StaleLanding):
        ceph.publish("a", image_record("image"), digests_of(content()))


def test_a_size_other_than_measured_is_refused(ceph: CephStorage) -> None:
    land(ceph, "a", content())
    with pytest.raises(DigestMismatch, match="bytes"):
        ceph.publish("a", image_record("image"), digests_of(content() + b"x"))
    assert not ceph.contains("image")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", PUBLISHING)
def test_a_death_while_publishing_leaves_all_or_nothing(
    ceph: CephStorage, step: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(ceph, "a", content())
    with dying(step, after=after, monkeypatch=monkeypatch) as death, suppress(Died):
        ceph.publish("a", image_record("image"), digests_of(content()))
    assert death.dead
    if ceph.contains("image"):
        assert read_all(ceph, "image") == content()
        assert [found.image.id for found in ceph.images()] == ["image"]
    else:
        assert list(ceph.images()) == []
    replica = ceph.publish("a", image_record("image"), digests_of(content()))
    assert [found.replica for found in ceph.images()] == [replica]
    assert list(ceph.landings()) == []
    assert read_all(ceph, "image") == content()


@pytest.mark.parametrize("directory_knows", ["landing", "published"])
def test_a_rename_broken_off_inside_rbd_is_completed(
    ceph: CephStorage, cluster: CephCluster, pool: str, directory_knows: str
) -> None:
    land(ceph, "a", content())
    landing, published = landing_name("a"), published_name("image")
    name_object = cluster.read_object(pool, f"rbd_id.{landing}")
    if directory_knows == "landing":  # the new name was written, the directory was not
        cluster.write_object(pool, f"rbd_id.{published}", name_object)
    replica = ceph.publish("a", image_record("image"), digests_of(content()))
    if directory_knows == "published":  # the old name was not removed
        cluster.write_object(pool, f"rbd_id.{landing}", name_object)
        assert ceph.publish("a", image_record("image"), digests_of(content())) == replica
    assert read_all(ceph, "image") == content()
    assert list(ceph.landings()) == []
    assert ceph.landing("a").begun_with() is None
    assert f"rbd_id.{landing}" not in cluster.objects(pool)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", DELETING)
def test_a_death_while_deleting_is_made_good_by_deleting_again(
    ceph: CephStorage,
    cluster: CephCluster,
    pool: str,
    step: int,
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(ceph, "image", content())
    with dying(step, after=after, monkeypatch=monkeypatch) as death, suppress(Died):
        ceph.delete("image")
    assert death.dead
    if ceph.contains("image"):
        assert read_all(ceph, "image") == content()
    else:
        assert list(ceph.images()) == []
    ceph.delete("image")
    assert cluster.leftovers(pool) == []


def test_deleting_what_is_absent_is_a_no_op(ceph: CephStorage) -> None:
    ceph.delete("image")
    add(ceph, "image", content())
    ceph.delete("image")
    ceph.delete("image")
    assert not ceph.contains("image")
    with pytest.raises(ImageNotFound):
        ceph.open("image")


def test_what_a_broken_off_deletion_left_in_the_trash_goes_too(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    land(ceph, "a", content())
    cluster.rbd("trash", "mv", f"{pool}/{landing_name('a')}")
    assert list(ceph.landings()) == []
    ceph.landing("a").discard()
    assert cluster.data_objects(pool) == []


@pytest.mark.parametrize("clone_format", ["1", "2"])
def test_an_image_with_clones_is_kept_and_they_are_named(
    ceph: CephStorage, cluster: CephCluster, pool: str, clone_format: str
) -> None:
    add(ceph, "image", content())
    parent = f"{pool}/imagewright.image.image@published"
    for name in ("vm-2", "vm-1"):
        cluster.rbd("clone", parent, f"{pool}/{name}", f"--rbd-default-clone-format={clone_format}")
    with pytest.raises(ReplicaInUse, match=f"{pool}/vm-1, {pool}/vm-2") as refused:
        ceph.delete("image")
    assert refused.value.users == ceph.clones("image") == (f"{pool}/vm-1", f"{pool}/vm-2")
    assert read_all(ceph, "image") == content()
    cluster.rbd("rm", f"{pool}/vm-1", "--no-progress")
    cluster.rbd("flatten", f"{pool}/vm-2", "--no-progress")
    ceph.delete("image")
    assert not ceph.contains("image")


def test_a_clone_takes_no_space_and_reads_as_the_image(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    add(ceph, "image", content())
    before = cluster.data_objects(pool)
    cluster.rbd("clone", f"{pool}/imagewright.image.image@published", f"{pool}/vm")
    assert cluster.data_objects(pool) == before
    exported = cluster.folder / "vm.raw"
    exported.unlink(missing_ok=True)
    cluster.rbd("export", f"{pool}/vm", str(exported), "--no-progress")
    assert exported.read_bytes() == content()


@pytest.mark.parametrize("key", ["image", "replica"])
def test_a_damaged_description_is_named_and_hides_no_other(
    ceph: CephStorage, cluster: CephCluster, pool: str, key: str
) -> None:
    add(ceph, "image", content())
    add(ceph, "other", content())
    cluster.rbd("image-meta", "set", f"{pool}/{published_name('image')}", f"imagewright.{key}", '{"id": "im')
    found = dict(ceph.described_images())
    assert {i: isinstance(one, DigestMismatch) for i, one in found.items()} == {"image": True, "other": False}
    assert read_all(ceph, "other") == content()
    ceph.delete("image")
    assert [one.image.id for one in ceph.images()] == ["other"]


def test_a_landing_whose_source_is_damaged_is_listed_and_begins_anew(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    land(ceph, "a", content())
    cluster.rbd("image-meta", "set", f"{pool}/{landing_name('a')}", "imagewright.source", "{")
    (landing,) = ceph.landings()
    assert (landing.landing_id, landing.source) == ("a", None)

"""What every primary storage keeps to: images cached whole or not at all, volumes in O(1), nothing in use is dropped."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.errors import DigestMismatch, ReplicaInUse, StorageUnavailable
from catalog.records import CachedImage, Image, ImageStorage, PrimaryKind, Replica
from catalog.records import PrimaryStorage as PrimaryRecord
from catalog.settings import Settings
from storage.primary.registry import open_primary_storage
from storage.protocols import CachedFile, PrimaryStorage
from storage.protocols import ImageStorage as ImageStorageRole
from storage.registry import open_image_storage
from tests.flows.managed import MIB, blank, landed
from tests.services.ceph import CephCluster, ceph_cluster
from tests.services.process import find

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Place:
    """A primary storage, an ImageStore beside it, and how the bytes of a volume are read."""

    primary: PrimaryStorage
    folder: Path
    cluster: CephCluster | None

    def add(self, data: bytes, url: str | None = None) -> "Added":
        """Put an image on an image storage."""
        record = ImageStorage(
            name="images", kind="ceph" if url else "imagestore", url=url or (self.folder / "images").as_uri(),
            created_at=NOW,
        )  # fmt: skip
        source = open_image_storage(record, settings=Settings())
        image = blank(size_bytes=len(data), virtual_size_bytes=len(data))
        digests = landed(source, image.id, data)
        return Added(self, source, image, source.publish(image.id, image, digests))

    def bytes_of(self, location: str) -> bytes:
        """Read a volume as its machine would, up to its end."""
        if self.cluster is None:
            target = self.folder / f"{uuid.uuid4().hex}.raw"
            subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", location, target], check=True)
            return target.read_bytes()
        target = self.folder / f"{uuid.uuid4().hex}.raw"
        self.cluster.rbd("export", location, str(target))
        return target.read_bytes()


@dataclass
class Added:
    """An image on an image storage."""

    place: Place
    source: ImageStorageRole
    image: Image
    replica: Replica

    def cache(self) -> CachedFile:
        """Bring it to the primary storage."""
        return self.place.primary.cache(
            self.source, self.image, self.replica, self.place.folder / "scratch", lambda _done, _total: None
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[CephCluster]:
    with ceph_cluster(pools=("images", "volumes")) as running:
        yield running


@pytest.fixture(params=["local", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph-contracts"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    find("qemu-img", "qemu-utils")
    kind: PrimaryKind = request.param
    running = request.getfixturevalue("cluster") if kind == "ceph" else None
    url = running.url("volumes") if running else (tmp_path / "primary").as_uri()
    record = PrimaryRecord(name="fast", kind=kind, url=url, created_at=NOW)
    return Place(open_primary_storage(record, settings=Settings()), tmp_path, running)


def row(added: Added, cached: CachedFile) -> CachedImage:
    return CachedImage(
        image_id=added.image.id, primary_storage="fast", location=cached.location, size_bytes=cached.size_bytes,
        last_used_at=NOW, created_at=NOW,
    )  # fmt: skip


def test_it_answers_and_has_room(place: Place) -> None:
    place.primary.check()
    if place.cluster is None:  # a cluster tells its room through a manager, which the storage suite starts
        assert place.primary.capacity().available_bytes > 0


def test_volumes_start_as_the_image_and_grow_beyond_it(place: Place) -> None:
    data = os.urandom(5 * MIB) + bytes(3 * MIB)
    cached = place.add(data).cache()
    same, larger = str(uuid.uuid4()), str(uuid.uuid4())
    first = place.primary.clone(same, cached, len(data))
    second = place.primary.clone(larger, cached, 16 * MIB)
    assert (first.backing, second.backing) == (cached.location, cached.location)
    assert place.bytes_of(first.location) == data
    assert place.bytes_of(second.location) == data + bytes(8 * MIB)


def test_an_image_is_cached_once_and_found_again(place: Place) -> None:
    added = place.add(os.urandom(MIB))
    cached = added.cache()
    assert added.cache() == cached
    assert added.image.id in set(place.primary.cached_ids())
    held = place.primary.holds(row(added, cached))
    assert held is not None
    assert held.location == cached.location
    place.primary.evict(added.image.id)
    place.primary.evict(added.image.id)
    assert place.primary.holds(row(added, cached)) is None
    assert added.image.id not in set(place.primary.cached_ids())


def test_a_cached_image_that_a_volume_uses_is_kept(place: Place) -> None:
    added = place.add(os.urandom(MIB))
    cached = added.cache()
    volume = place.primary.clone(str(uuid.uuid4()), cached, MIB)
    with pytest.raises(ReplicaInUse):
        place.primary.evict(added.image.id)
    assert place.primary.holds(row(added, cached)) is not None
    place.primary.delete_volume(volume.location)
    place.primary.delete_volume(volume.location)
    place.primary.evict(added.image.id)
    assert place.primary.holds(row(added, cached)) is None


def test_a_source_whose_bytes_are_not_the_recorded_ones_is_never_cached(place: Place) -> None:
    added = place.add(os.urandom(MIB))
    added.replica = added.replica.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(DigestMismatch):
        added.cache()
    assert added.image.id not in set(place.primary.cached_ids())


def test_making_a_volume_costs_the_same_for_any_image(place: Place, tmp_path: Path) -> None:
    cached = place.add(os.urandom(24 * MIB)).cache()
    volume = place.primary.clone(str(uuid.uuid4()), cached, 64 << 30)
    if place.cluster is None:
        assert Path(volume.location).stat().st_size < MIB
    assert volume.size_bytes == 64 << 30


@pytest.mark.xdist_group("ceph-contracts")
def test_a_replica_in_the_same_cluster_is_cloned_where_it_lies(cluster: CephCluster, tmp_path: Path) -> None:
    record = PrimaryRecord(name="fast", kind="ceph", url=cluster.url("volumes"), created_at=NOW)
    place = Place(open_primary_storage(record, settings=Settings()), tmp_path, cluster)
    data = os.urandom(5 * MIB)
    before = cluster.data_objects("volumes")
    added = place.add(data, cluster.url("images"))
    cached = added.cache()
    assert cached.size_bytes == 0
    volume = place.primary.clone(str(uuid.uuid4()), cached, 16 * MIB)
    assert cluster.data_objects("volumes") == before
    assert place.bytes_of(volume.location) == data + bytes(11 * MIB)
    with pytest.raises(ReplicaInUse, match=volume.location):
        added.source.delete(added.image.id)
    place.primary.delete_volume(volume.location)
    added.source.delete(added.image.id)
    assert place.primary.holds(row(added, cached)) is None


def test_a_cluster_or_folder_that_is_away_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "primary").write_bytes(b"a file where the folder was")
    record = PrimaryRecord(name="fast", kind="local", url=(tmp_path / "primary").as_uri(), created_at=NOW)
    with pytest.raises(StorageUnavailable, match="fast"):
        open_primary_storage(record, settings=Settings()).check()


def test_nobody_writes_to_a_cached_image(tmp_path: Path) -> None:
    record = PrimaryRecord(name="fast", kind="local", url=(tmp_path / "primary").as_uri(), created_at=NOW)
    place = Place(open_primary_storage(record, settings=Settings()), tmp_path, None)
    cached = place.add(os.urandom(MIB)).cache()
    assert Path(cached.location).stat().st_mode & 0o222 == 0

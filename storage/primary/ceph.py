"""A primary storage in a Ceph pool: volumes are clones of a protected snapshot.

If an image's replica lies in the same cluster, volumes are cloned from the replica itself, across pools: nothing is
copied, and while such a volume exists the replica can't be deleted. Any other image is first copied into this pool, as
onto an image storage: proven, then published. The pool therefore belongs to this primary storage alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import ImageNotFound
from catalog.records import CachedImage, Capacity, Image, ImageStorage, PrimaryKind, PrimaryStorage, Replica
from catalog.settings import Settings
from storage import protocols
from storage.ceph import CephStorage
from storage.ceph.client.address import CephAddress
from storage.ceph.client.connection import Connection, connect, translated
from storage.ceph.layout import FEATURES, SNAPSHOT, published_name
from storage.ceph.rbd_images import has_snapshot, opened, remove
from storage.protocols import CachedFile, Progress, VolumeFile
from storage.replicas.copy import copy_replica

VOLUME = "imagewright.volume."


class CephPrimary:
    """A PrimaryStorage (see the protocol) in a pool."""

    kind: PrimaryKind = "ceph"

    def __init__(self, record: PrimaryStorage, settings: Settings, credentials: str | None = None) -> None:
        """Connect to nothing yet. credentials: a keyring's text or a bare key. Raises InvalidRequest for the URL."""
        self.name = record.name
        self._settings, self._credentials = settings, credentials
        as_images = ImageStorage(
            name=record.name, kind="ceph", url=record.url, reserve_bytes=0, created_at=record.created_at
        )
        self._images = CephStorage(as_images, settings, credentials)
        self.address: CephAddress = self._images.address

    def check(self) -> None:
        """Prove that the pool takes our writes."""
        self._images.check()

    def capacity(self) -> Capacity:
        """Return the room of the pool."""
        return self._images.capacity()

    def shares(self, source: protocols.ImageStorage) -> bool:
        """Tell whether the source lies in this cluster."""
        return isinstance(source, CephStorage) and source.cluster_id() == self._images.cluster_id()

    def cache(
        self, source: protocols.ImageStorage, image: Image, replica: Replica, scratch: Path, progress: Progress
    ) -> CachedFile:
        """Return the replica itself if it lies in this cluster; else copy it into the pool, proven, as raw or iso."""
        if isinstance(source, CephStorage) and self.shares(source):
            location = f"{source.address.pool}/{published_name(image.id)}@{SNAPSHOT}"
            return CachedFile(location=location, format=replica.format, size_bytes=0)
        if not self._images.contains(image.id):
            landing_id = f"{image.id}.cache"
            copied = copy_replica(source, self._images, replica, landing_id, scratch=scratch, progress=progress)
            self._images.publish(landing_id, image, copied.digests)
        size = sum(r.replica.stored_bytes for r in self._images.images() if r.image.id == image.id)
        location = f"{self.address.pool}/{published_name(image.id)}@{SNAPSHOT}"
        return CachedFile(location=location, format=self._images.stored_format(replica.format), size_bytes=size)

    def holds(self, cached: CachedImage) -> CachedFile | None:
        """Return the snapshot if it exists."""
        pool, name, _ = parts_of(cached.location)
        with self._joined() as connection, _pool(connection, pool) as parent, opened(parent, name) as image:
            if image is None or not has_snapshot(image):
                return None
        return CachedFile(location=cached.location, format="raw", size_bytes=cached.size_bytes)

    def cached_ids(self) -> Iterator[str]:
        """List the images that were copied into this pool."""
        yield from (stored.image.id for stored in self._images.images())

    def evict(self, image_id: str) -> None:
        """Delete the copy in this pool; a replica elsewhere in the cluster is not ours to delete."""
        self._images.delete(image_id)

    def clone(self, volume_id: str, cached: CachedFile, size_bytes: int) -> VolumeFile:
        """Clone the snapshot, across pools if it lies in another, and grow it to `size_bytes`."""
        pool, name, snapshot = parts_of(cached.location)
        target = f"{VOLUME}{volume_id}"
        with self._joined() as connection, _pool(connection, pool) as parent:
            remove(connection, target, volume_id)  # left by an attempt that died before it was recorded
            with opened(parent, name) as image:
                if image is None:
                    raise ImageNotFound(cached.location)
            with translated(self.name, "cloning", volume_id):
                connection.rbd.clone(parent.pool, name, snapshot, connection.pool, target, features=FEATURES)
            self._grow(connection, target, size_bytes)
        return VolumeFile(location=f"{self.address.pool}/{target}", backing=cached.location, size_bytes=size_bytes)

    def delete_volume(self, location: str) -> None:
        """Delete the clone."""
        with self._joined() as connection:
            remove(connection, location.partition("/")[2], location)

    def _grow(self, connection: Connection, target: str, size_bytes: int) -> None:
        with opened(connection, target, read_only=False) as image, translated(self.name, "growing", target):
            if image is not None and image.size() < size_bytes:
                image.resize(size_bytes)

    @contextmanager
    def _joined(self) -> Iterator[Connection]:
        wait_s = self._settings.read_timeout_s
        connection = connect(self.name, self.address, self._credentials, timeout_s=wait_s)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _pool(connection: Connection, name: str) -> Iterator[Connection]:
    """Open another pool of the same cluster."""
    with translated(connection.storage, f"opening pool {name!r}"):
        pool = connection.cluster.open_ioctx(name)
    try:
        yield Connection(connection.storage, connection.cluster, pool)
    finally:
        pool.close()


def parts_of(location: str) -> tuple[str, str, str]:
    """Return pool, image and snapshot of `pool/image@snapshot`."""
    pool, _, rest = location.partition("/")
    name, _, snapshot = rest.partition("@")
    return pool, name, snapshot

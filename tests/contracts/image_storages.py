"""The image storages that the suite runs against: each row opens an empty one below a folder of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from catalog.records import Image, Replica
from catalog.settings import Settings
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.storage import ImageStore
from storage.protocols import Digests, ImageStorage
from storage.registry import open_image_storage
from tests.services.ceph import fresh_pool, shared_cluster
from tests.storage.imagestore.compacting import compact
from tests.storage.stores import SMALL, image_store, opener, record


@contextmanager
def _memory(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("memory", place)())


class _Compacted(ImageStore):
    """Compacts whenever something was published."""

    def publish(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        replica = super().publish(landing_id, image, digests)
        compact(self)
        return replica


@contextmanager
def _compacted(place: Path) -> Iterator[ImageStorage]:
    objects = opener("memory", place)()
    yield _Compacted(record(), objects, ChipStore(objects, SMALL))


@contextmanager
def _directory(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("directory", place)())


@contextmanager
def _s3(place: Path) -> Iterator[ImageStorage]:
    yield image_store(opener("s3", place)())


@contextmanager
def _ceph(number: int, place: Path) -> Iterator[ImageStorage]:
    cluster = shared_cluster(number)
    url = cluster.url(fresh_pool(cluster))
    settings = Settings(scratch=place / "scratch")
    yield open_image_storage(record(url, kind="ceph", capacity_bytes=1 << 40), settings=settings)


IMAGE_STORAGES: dict[str, Callable[[Path], AbstractContextManager[ImageStorage]]] = {
    "memory": _memory,
    "compacted": _compacted,
    "directory": _directory,
    "s3": _s3,
    "ceph": partial(_ceph, 0),
    "ceph-2": partial(_ceph, 1),
}

"""The manifests of a store: list them, read one, or read all with a few threads in name order."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from catalog.errors import DigestMismatch, ImageNotFound, ObjectMissing, StorageRefused
from storage.imagestore.format import manifest, names
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.reading.view import Mappable
from storage.protocols import ObjectInfo, ObjectStore
from storage.transfer.threads import in_order

A = TypeVar("A")
T = TypeVar("T")
FOLDER = "manifests/"
WORKERS = 8
ROOM = 16 << 20  # bytes of the manifests that are read ahead; a larger one is read alone
LEAST_BYTES = 256 << 10  # counted for each at least: it holds a thread's answer, too

Unreadable = DigestMismatch | StorageRefused


def name_of(image_id: str) -> str:
    """Return the name of an image's manifest."""
    return f"{FOLDER}{image_id}"


def ids(objects: ObjectStore) -> list[str]:
    """Return the ids of all images that have a manifest, sorted."""
    return [info.name.removeprefix(FOLDER) for info in _listed(objects)]


def read(objects: ObjectStore, image_id: str) -> tuple[ManifestHeader, Pieces]:
    """Read a manifest.

    Raises ImageNotFound, StorageRefused for another version, DigestMismatch if it is damaged or a copy of another
    image's.
    """
    header, pieces = _proven(objects, image_id)
    if header.image.id != image_id:
        where = f"{objects.location}/{name_of(image_id)}"
        raise DigestMismatch(where, f"the manifest of image {image_id}", f"that of image {header.image.id}")
    return header, pieces


def raw(objects: ObjectStore, image_id: str) -> bytes:
    """Return a manifest's raw bytes. Raises ImageNotFound."""
    try:
        return objects.get(name_of(image_id))
    except ObjectMissing as error:
        raise ImageNotFound(image_id) from error


def read_all(
    objects: ObjectStore, pick: Callable[[ManifestHeader, Pieces], T], *, copies: bool = False
) -> Iterator[tuple[str, T | Unreadable]]:
    """Yield (image id from the name, `pick`'s result for the manifest or why it can't be read), sorted by id.

    Manifests deleted meanwhile are left out. pick: may be called in other threads; memory it does not keep is freed at
    once.
    copies: read a manifest copied to another image's name as the image it describes; otherwise it can't be read.
    """
    reading = _proven if copies else read

    def take(info: ObjectInfo) -> tuple[str, T | Unreadable | ImageNotFound]:
        image_id = info.name.removeprefix(FOLDER)
        return image_id, _picked(lambda: pick(*reading(objects, image_id)))

    for image_id, found in _each(objects, take, _listed(objects), lambda info: max(LEAST_BYTES, info.size_bytes)):
        if not isinstance(found, ImageNotFound):
            yield image_id, found


def read_some(
    objects: ObjectStore, image_ids: Iterable[str], pick: Callable[[ManifestHeader, Pieces], T]
) -> Iterator[T | Unreadable | ImageNotFound]:
    """Yield for each image `pick`'s result for its manifest, or why it can't be read; for callers that keep all."""
    return _each(
        objects, lambda image_id: _picked(lambda: pick(*read(objects, image_id))), image_ids, lambda _: LEAST_BYTES
    )


def _listed(objects: ObjectStore) -> Iterator[ObjectInfo]:
    return names.listed(objects, FOLDER, names.IMAGE)


def _each(objects: ObjectStore, take: Callable[[A], T], items: Iterable[A], weight: Callable[[A], int]) -> Iterator[T]:
    if isinstance(objects, Mappable):  # reading a local file takes 60 us, passing it to a thread 200
        return map(take, items)
    return in_order(take, items, workers=WORKERS, room=ROOM, weight=weight)


def _proven(objects: ObjectStore, image_id: str) -> tuple[ManifestHeader, Pieces]:
    return manifest.decode(f"{objects.location}/{name_of(image_id)}", raw(objects, image_id))


def _picked(picking: Callable[[], T]) -> T | Unreadable | ImageNotFound:
    try:
        return picking()
    except (ImageNotFound, DigestMismatch, StorageRefused) as error:
        return error

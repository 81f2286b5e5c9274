"""Find the replicas that an image can be read from."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from catalog.errors import ImageNotFound, StorageError
from catalog.records import Image, Replica, ReplicaStatus
from catalog.rules.storages.hosts import bound_to
from catalog.settings import load_settings

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

S = TypeVar("S")
T = TypeVar("T")


def whole_replicas(
    catalog: "Reading", image_id: str | None = None, *, image_storage: str | None = None
) -> list[Replica]:
    """Return Ready replicas, of one image or all, on one storage or all; those that this host reaches first."""
    found = catalog.replicas(image_id, image_storage=image_storage)
    ready = [replica for replica in found if replica.status is ReplicaStatus.READY]
    if (settings := load_settings()).catalog_is_shared:
        reached = {s.name for s in catalog.image_storages() if bound_to(s) in (None, settings.host_name)}
        ready.sort(key=lambda replica: replica.image_storage not in reached)
    return ready


def readable(catalog: "Reading", image: Image, image_storage: str | None = None) -> list[Replica]:
    """Return the replicas that an image can be read from, on one storage or all.

    Raises StorageNotFound, ImageNotFound.
    """
    if image_storage is not None:
        catalog.image_storage(image_storage)
    where = f"on image storage {image_storage!r}" if image_storage else "on any image storage"
    if not (found := whole_replicas(catalog, image.id, image_storage=image_storage)):
        raise ImageNotFound(image.id, where)
    return found


def from_any(sources: Sequence[S], attempt: Callable[[S], T]) -> T:
    """Return the result of `attempt` on the first readable source, passing over damaged and unreachable ones."""
    *others, last = sources
    for source in others:
        try:
            return attempt(source)
        except StorageError:
            continue
    return attempt(last)

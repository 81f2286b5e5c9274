"""Room for an image: quota of its account and capacity of its storages, set aside before bytes move."""

from typing import TYPE_CHECKING

from catalog.errors import CapacityExceeded
from catalog.records import Image, ReplicaStatus
from catalog.settings import Settings
from tasks.resources import open_image_storage

if TYPE_CHECKING:
    from catalog.repository import Catalog
    from storage.protocols import ImageStorage


def lacking(catalog: "Catalog", image: Image) -> tuple[str, ...]:
    """Return the storages that were asked for and have no Ready replica yet."""
    ready = {r.image_storage for r in catalog.replicas(image.id) if r.status is ReplicaStatus.READY}
    return tuple(name for name in image.image_storages if name not in ready)


def open_lacking(catalog: "Catalog", settings: Settings, image: Image) -> "tuple[ImageStorage, ...]":
    """Open the storages that still lack the image. Raises StorageNotFound, StorageRefused."""
    return tuple(
        open_image_storage(catalog.image_storage(name), settings) for name in lacking(catalog, image)
    )


def reserve(catalog: "Catalog", settings: Settings, image: Image, size_bytes: int | None) -> None:
    """Raise CapacityExceeded unless every storage that lacks the image has room for it."""
    for storage in open_lacking(catalog, settings, image):
        room = storage.capacity().available_bytes
        if (size_bytes or 0) > room:
            raise CapacityExceeded(storage.name, size_bytes or 0, room)

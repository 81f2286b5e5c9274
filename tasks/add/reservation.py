"""Room for an image: quota of its account and capacity of its storages, set aside before bytes move."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from catalog.errors import ReservationNotFound
from catalog.records import Image, ReplicaStatus
from catalog.settings import Settings
from tasks.runtime.locks import refuse_withdrawn
from tasks.runtime.resources import changing, open_image_storage, open_resources

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from storage.protocols import ImageStorage, Progress

TELL_EVERY_S = 1.0


def lacking(catalog: "Catalog", image: Image) -> tuple[str, ...]:
    """Return the storages that were asked for and have no Ready replica yet."""
    ready = {r.image_storage for r in catalog.replicas(image.id) if r.status is ReplicaStatus.READY}
    return tuple(name for name in image.image_storages if name not in ready)


def open_lacking(catalog: "Catalog", settings: Settings, image: Image) -> "tuple[ImageStorage, ...]":
    """Open the storages that still lack the image. Raises StorageNotFound, StorageRefused, StorageUnavailable."""
    return tuple(open_image_storage(catalog.image_storage(name), settings) for name in lacking(catalog, image))


def reserve(catalog: "Catalog", settings: Settings, image: Image, size_bytes: int | None) -> None:
    """Set quota and capacity aside for the image until it is Ready. Raises QuotaExceeded, CapacityExceeded.

    size_bytes: as the source announces it; None: unknown, the reservation grows while bytes arrive.
    """
    storages = open_lacking(catalog, settings, image)
    available = {storage.name: storage.capacity().available_bytes for storage in storages}
    with changing(catalog, image.owner) as change:
        change.reserve(
            subject=subject_of(image.id),
            account=image.owner,
            storages=tuple(available),
            size_bytes=size_bytes or 0,
            available=available,
        )


def subject_of(image_id: str) -> str:
    """Return the name under which an image's reservation is kept."""
    return f"image:{image_id}"


class GrowingReservation:
    """A progress callback that tells the catalog once a second how much has landed, and ends the transfer of an image that was deleted.

    So what was written is not counted twice, as reserved and as missing from the storage, and the reservation of a
    file of unknown size grows with it.
    """

    def __init__(self, progress: "Progress", image: Image, storages: "tuple[ImageStorage, ...]") -> None:
        self._progress, self._image, self._storages = progress, image, storages
        self._told_at = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Pass the figures on. Raises Withdrawn; QuotaExceeded, CapacityExceeded where a growing reservation doesn't fit."""
        self._progress(done, total)
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            self.tell(done, total)

    def tell(self, done: int, total: int | None) -> None:
        """Say now that `done` bytes have landed. Raises Withdrawn, QuotaExceeded, CapacityExceeded."""
        available = {s.name: s.capacity().available_bytes for s in self._storages} if total is None else {}
        with (
            suppress(ReservationNotFound),
            open_resources() as (_, catalog),
            changing(catalog, self._image.owner) as change,
        ):
            refuse_withdrawn(change, self._image.id)
            change.grow_reservation(
                subject_of(self._image.id), size_bytes=total or done, landed_bytes=done, available=available
            )

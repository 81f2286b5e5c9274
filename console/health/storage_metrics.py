"""Metrics of room and chips of each image storage and primary storage, measured in the background, each separately."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock

from prometheus_client.core import Metric

from catalog import open_catalog
from catalog.records import Capacity, ImageStorage, PrimaryStorage, Record
from catalog.settings import Settings
from console.health.families import gauge
from console.health.remembered import Known, Remembered
from storage.abilities import ChipCounting
from tasks.runtime.resources import open_image_storage, open_primary_storage

FRESH_S = 30.0
WAIT_S = 1.0
UNBOUNDED = 1 << 61
"""A storage on a medium without bounds reports more than this."""


class Room(Record):
    """A storage's figures. chips: None for a storage without chips."""

    capacity: Capacity
    chips: int | None = None


def image_room(record: ImageStorage, settings: Settings) -> Room:
    """Ask an image storage. Raises StorageUnavailable, StorageRefused."""
    storage = open_image_storage(record, settings)
    chips = storage.chip_count() if isinstance(storage, ChipCounting) else None
    return Room(capacity=storage.capacity(), chips=chips)


def primary_room(record: PrimaryStorage, settings: Settings) -> Room:
    """Ask a primary storage. Raises StorageUnavailable, StorageRefused."""
    return Room(capacity=open_primary_storage(record, settings).capacity())


class StorageMetrics:
    """A collector of prometheus_client: each storage's last figures; an unavailable storage delays no scrape."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, Lock()
        self._known: dict[str, Remembered[Room]] = {}
        self._records = Remembered(self._registered, FRESH_S)

    def rooms(self) -> Iterator[tuple[str, str, Known[Room]]]:
        """Yield kind (`image`, `primary`), name and figures of each storage in use."""
        images, primaries = self._records.known(WAIT_S).value or ((), ())
        for record in images:
            if record.state == "Enabled":
                yield "image", record.name, self._of(record, partial(image_room, record, self._settings))
        for primary in primaries:
            yield "primary", primary.name, self._of(primary, partial(primary_room, primary, self._settings))

    def _registered(self) -> tuple[tuple[ImageStorage, ...], tuple[PrimaryStorage, ...]]:
        with open_catalog(self._settings.catalog_address) as catalog:
            return tuple(catalog.image_storages()), tuple(catalog.primary_storages())

    def _of(self, record: ImageStorage | PrimaryStorage, measure: Callable[[], Room]) -> Known[Room]:
        key = record.model_dump_json()  # changed: it is another place now
        with self._lock:
            remembered = self._known.setdefault(key, Remembered(measure, FRESH_S))
        return remembered.known(WAIT_S if not remembered.asked else 0.0)

    def collect(self) -> Iterator[Metric]:
        """Yield the known figures; bounds and chips only of storages that have them."""
        is_up = gauge("imagewright_storage_up", "1: the storage answered when it was last asked.", "kind", "storage")
        total = gauge("imagewright_storage_capacity_bytes", "Size of the storage.", "kind", "storage")
        used = gauge("imagewright_storage_used_bytes", "Bytes used on it, by whomever.", "kind", "storage")
        free = gauge("imagewright_storage_available_bytes", "Room after the reserve.", "kind", "storage")
        chips = gauge("imagewright_storage_chips", "Chips that its index names.", "kind", "storage")
        for kind, name, known in self.rooms():
            is_up.add_metric((kind, name), float(known.value is not None and not known.trouble))
            if known.value is None:
                continue
            room = known.value.capacity
            used.add_metric((kind, name), room.used_bytes)
            if room.total_bytes < UNBOUNDED:
                total.add_metric((kind, name), room.total_bytes)
                free.add_metric((kind, name), room.available_bytes)
            if known.value.chips is not None:
                chips.add_metric((kind, name), known.value.chips)
        yield from (is_up, total, used, free, chips)

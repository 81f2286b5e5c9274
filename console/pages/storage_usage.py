"""How full storages are: measured beside the pages and remembered, so that no page waits for a storage that is away."""

import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Protocol

from catalog import open_catalog
from catalog.errors import ImagewrightError
from catalog.records import Capacity, ImageStorage, PrimaryStorage, Record
from catalog.settings import Settings
from tasks.runtime.resources import open_image_storage, open_primary_storage

FRESH_S = 10.0
FIRST_WAIT_S = 0.5
"""A page waits this long for a first measurement; a directory answers in milliseconds."""
UNBOUNDED = 1 << 61
"""A storage whose medium has no bounds reports more than this."""


class Fullness(Record):
    """What a storage holds. logical_bytes: sizes of the images on it; stored_bytes: newly written for them; trouble: why unknown."""

    capacity: Capacity | None = None
    logical_bytes: int = 0
    stored_bytes: int = 0
    trouble: str = ""

    @property
    def total_bytes(self) -> int | None:
        """Return the size of the storage, None where it has no bounds or is not known."""
        known = self.capacity.total_bytes if self.capacity else UNBOUNDED
        return known if known < UNBOUNDED else None


class _Measured(Protocol):
    def capacity(self) -> Capacity: ...


class StorageUsage:
    """Remembers the last measurement of each storage and makes the next one when it is asked after FRESH_S."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, Lock()
        self._known: dict[str, Fullness] = {}
        self._due: dict[str, float] = {}
        self._running: dict[str, tuple[Event, float]] = {}

    def image_storage(self, record: ImageStorage) -> Fullness | None:
        """Return what an image storage holds; None: not known yet."""
        return self._of(f"image:{record.name}", lambda: open_image_storage(record, self._settings), record.name)

    def primary_storage(self, record: PrimaryStorage) -> Fullness | None:
        """Return the room of a primary storage; None: not known yet."""
        return self._of(f"primary:{record.name}", lambda: open_primary_storage(record, self._settings), "")

    def _of(self, key: str, opened: Callable[[], _Measured], holding: str) -> Fullness | None:
        with self._lock:
            if key not in self._running and time.monotonic() >= self._due.get(key, 0):
                self._running[key] = (Event(), time.monotonic() + FIRST_WAIT_S)
                Thread(target=self._measure, args=(key, opened, holding), daemon=True).start()
            running = self._running.get(key)
        if key not in self._known and running is not None:
            measured, until = running  # once: a storage that is away holds up the first page only
            measured.wait(max(until - time.monotonic(), 0))
        return self._known.get(key)

    def _measure(self, key: str, opened: Callable[[], _Measured], holding: str) -> None:
        begun = time.monotonic()
        try:
            found = self._look(opened, holding)
        except ImagewrightError as error:
            found = Fullness(trouble=str(error))
        except Exception as error:  # noqa: BLE001  # a defect is shown where the figure would be, and looked for again
            found = Fullness(trouble=f"{type(error).__name__}: {error}")
        took = time.monotonic() - begun
        with self._lock:
            self._known[key] = found
            self._due[key] = time.monotonic() + max(FRESH_S, 10 * took)
            self._running.pop(key)[0].set()

    def _look(self, opened: Callable[[], _Measured], holding: str) -> Fullness:
        capacity = opened().capacity()
        logical = stored = 0
        if holding:
            with open_catalog(self._settings.catalog_address) as catalog:
                for replica in catalog.replicas(image_storage=holding):
                    logical, stored = logical + replica.size_bytes, stored + replica.stored_bytes
        return Fullness(capacity=capacity, logical_bytes=logical, stored_bytes=stored)

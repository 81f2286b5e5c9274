"""How full storages are, measured in the background and cached, so that no page waits for an unavailable storage."""

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
"""Longest wait of a page for a first measurement; a directory answers in milliseconds."""
UNBOUNDED = 1 << 61
"""A storage on a medium without bounds reports more than this."""


class Fullness(Record):
    """A storage's usage.

    logical_bytes: sizes of its images; stored_bytes: newly written for them; trouble: why it is unknown.
    """

    capacity: Capacity | None = None
    logical_bytes: int = 0
    stored_bytes: int = 0
    trouble: str = ""

    @property
    def total_bytes(self) -> int | None:
        """Return the size of the storage, None if it is unbounded or unknown."""
        known = self.capacity.total_bytes if self.capacity else UNBOUNDED
        return known if known < UNBOUNDED else None


class _Measured(Protocol):
    def capacity(self) -> Capacity: ...


class StorageUsage:
    """Caches each storage's last measurement; a request after FRESH_S starts the next one."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, Lock()
        self._known: dict[str, Fullness] = {}
        self._due: dict[str, float] = {}
        self._running: dict[str, tuple[Event, float]] = {}

    def image_storage(self, record: ImageStorage) -> Fullness | None:
        """Return the usage of an image storage; None: not known yet."""
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
            measured, until = running  # once: an unavailable storage delays only the first page
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

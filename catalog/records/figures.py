"""Figures for monitoring, counted in the catalog's database."""

from datetime import datetime

from catalog.records.hosts import HostState
from catalog.records.record import Record


class StorageFigures(Record):
    """The replicas of one status on one image storage. Moments: of the verifications of their bytes."""

    image_storage: str
    status: str
    replicas: int
    logical_bytes: int  # sizes of the stored files
    stored_bytes: int  # newly written for them when they landed
    unverified: int  # never verified since they landed
    first_verified_at: datetime | None = None
    last_verified_at: datetime | None = None
    first_landed_at: datetime | None = None


class Counts(Record):
    """The number of things of one kind, and their size if known."""

    name: str  # e.g. a status, or "exports"
    count: int
    size_bytes: int = 0
    oldest_at: datetime | None = None


class DeliveryFigures(Record):
    """Deliveries of one status to one webhook."""

    webhook: str
    status: str
    deliveries: int
    oldest_at: datetime | None = None


class HostFigures(Record):
    """The state of a host, by the database's clock."""

    name: str
    state: HostState
    silent_s: float
    free_scratch_bytes: int


class Figures(Record):
    """All figures at one moment by the catalog's clock. sequence: of the log's last entry."""

    at: datetime
    sequence: int
    images: tuple[Counts, ...] = ()  # by status
    storages: tuple[StorageFigures, ...] = ()  # by storage and status
    things: tuple[Counts, ...] = ()  # exports, leftovers, volumes, cached images, deferred work
    deliveries: tuple[DeliveryFigures, ...] = ()  # by webhook and status
    hosts: tuple[HostFigures, ...] = ()

"""What the catalog comes to, counted in its database: for whoever watches over it."""

from datetime import datetime

from catalog.records.hosts import HostState
from catalog.records.record import Record


class StorageFigures(Record):
    """The replicas of one status on one image storage. Moments: of the proofs that their bytes are whole."""

    image_storage: str
    status: str
    replicas: int
    logical_bytes: int  # sizes of the stored files
    stored_bytes: int  # newly written for them when they landed
    unverified: int  # never proven since they landed
    first_verified_at: datetime | None = None
    last_verified_at: datetime | None = None
    first_landed_at: datetime | None = None


class Counts(Record):
    """How many things of one kind there are, and what they take, where that is known."""

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
    """How a host is, by the clock that its signs of life are counted by."""

    name: str
    state: HostState
    silent_s: float
    free_scratch_bytes: int


class Figures(Record):
    """What the catalog comes to at one moment by its own clock. sequence: of the log's last entry."""

    at: datetime
    sequence: int
    images: tuple[Counts, ...] = ()  # by status
    storages: tuple[StorageFigures, ...] = ()  # by storage and status
    things: tuple[Counts, ...] = ()  # exports, leftovers, volumes, cached images, deferred work
    deliveries: tuple[DeliveryFigures, ...] = ()  # by webhook and status
    hosts: tuple[HostFigures, ...] = ()

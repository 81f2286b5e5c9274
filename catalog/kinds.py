"""Every kind of record that the catalog keeps: its table, its key, and how the event log names it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from catalog import records
from catalog.records import Record

R_co = TypeVar("R_co", bound=Record, covariant=True)
Key = tuple[str | int, ...]
Place = tuple[str | int | datetime, ...]  # values of the order fields: where a page begins


@dataclass(frozen=True)
class Kind(Generic[R_co]):
    """One kind of record. `logged` kinds are knowledge and in the event log; the others are working state."""

    record: type[R_co]
    table: str
    prefix: str  # of the subject in the event log
    key: tuple[str, ...]
    logged: bool = True
    newest_first: bool = False  # order of listings: (created_at, key) downwards, else key upwards
    references: str | None = None  # table that `image_id` must be in
    indexes: tuple[tuple[str, ...], ...] = ()

    def key_of(self, record: Record) -> Key:
        """Return the values of the key fields."""
        return tuple(getattr(record, field) for field in self.key)

    def subject(self, key: Key) -> str:
        """Return the name of a record in the event log, e.g. `replica:<image id>@<storage>`."""
        return f"{self.prefix}:{'@'.join(str(part) for part in key)}"

    def order(self) -> tuple[str, ...]:
        """Return the fields that listings are ordered by."""
        return ("created_at", *self.key) if self.newest_first else self.key


IMAGE = Kind(
    records.Image, "images", "image", ("id",), newest_first=True,
    indexes=(
        ("created_at", "id"),
        ("status", "created_at", "id"),
        ("owner", "created_at", "id"),
        ("sharing_mode", "created_at", "id"),
        ("family", "created_at", "id"),
        ("name", "created_at", "id"),
        ("updated_at", "id"),
        ("expires_at", "id"),
    ),
)  # fmt: skip
REPLICA = Kind(
    records.Replica, "replicas", "replica", ("image_id", "image_storage"),
    references="images", indexes=(("image_storage", "image_id"),),
)  # fmt: skip
EXPORT = Kind(
    records.ExportedImage, "exported_images", "export", ("id",), newest_first=True,
    references="images", indexes=(("image_id", "image_storage"), ("created_at", "id")),
)  # fmt: skip
LEFTOVER = Kind(
    records.Leftover, "leftovers", "leftover", ("id",), newest_first=True,
    indexes=(("image_storage", "id"), ("image_id", "id"), ("created_at", "id")),
)  # fmt: skip
VOLUME = Kind(
    records.Volume, "volumes", "volume", ("id",), newest_first=True,
    indexes=(("image_id", "id"), ("primary_storage", "id"), ("created_at", "id")),
)  # fmt: skip
CACHED = Kind(
    records.CachedImage, "cached_images", "cached_image", ("image_id", "primary_storage"),
    indexes=(("primary_storage", "image_id"),),
)  # fmt: skip
IMAGE_STORAGE = Kind(records.ImageStorage, "image_storages", "image_storage", ("name",))
PRIMARY_STORAGE = Kind(records.PrimaryStorage, "primary_storages", "primary_storage", ("name",))
ACCOUNT = Kind(records.Account, "accounts", "account", ("name",))
DEFERRED = Kind(
    records.Deferred, "deferred_work", "deferred", ("id",), indexes=(("storage", "id"), ("image_id", "id"))
)
COUNTED = Kind(records.Counted, "counted", "counted", ("account",), logged=False)
RESERVATION = Kind(
    records.Reservation, "reservations", "reservation", ("subject",), logged=False, indexes=(("account",),)
)
LEASE = Kind(records.Lease, "leases", "lease", ("image_id",), logged=False)
PACING = Kind(records.Pacing, "pacing", "pacing", ("image_storage",), logged=False)
EVENT = Kind(
    records.Event, "events", "event", ("sequence",), logged=False,
    indexes=(("image_id", "sequence"), ("subject", "sequence"), ("at",)),
)  # fmt: skip
EVENT_BY_SUBJECT = Kind(records.Event, EVENT.table, EVENT.prefix, ("subject", "sequence"), logged=False)
"""The same entries in another order: how the state of one record after the other is read off the log."""

KINDS: tuple[Kind[Record], ...] = (  # parents before those that reference them
    IMAGE, REPLICA, EXPORT, LEFTOVER, VOLUME, CACHED, IMAGE_STORAGE, PRIMARY_STORAGE, ACCOUNT, DEFERRED,
    COUNTED, RESERVATION, LEASE, PACING, EVENT,
)  # fmt: skip


def image_of(record: Record) -> str | None:
    """Return the id of the image that a record is about, if it is about one."""
    if isinstance(record, records.Image):
        return record.id
    value = getattr(record, "image_id", None)
    return value if isinstance(value, str) else None

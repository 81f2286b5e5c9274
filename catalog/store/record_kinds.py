"""Every kind of record that the catalog stores: its table, its key, and its subject in the event log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from catalog import records
from catalog.records import Record

R_co = TypeVar("R_co", bound=Record, covariant=True)
Key = tuple[str | int, ...]
Place = tuple[str | int | datetime, ...]  # values of the order fields after which a page begins


@dataclass(frozen=True)
class RecordKind(Generic[R_co]):
    """One kind of record. `logged` kinds are in the event log; the others are working state."""

    record: type[R_co]
    table: str
    prefix: str  # of the subject in the event log
    key: tuple[str, ...]
    logged: bool = True
    newest_first: bool = False  # order of listings: (created_at, key) descending, else key ascending
    references: str | None = None  # table that `image_id` must be in
    indexes: tuple[tuple[str, ...], ...] = ()

    def key_of(self, record: Record) -> Key:
        """Return the values of the key fields."""
        return tuple(getattr(record, field) for field in self.key)

    def subject(self, key: Key) -> str:
        """Return the subject of a record in the event log, e.g. `replica:<image id>@<storage>`."""
        return f"{self.prefix}:{'@'.join(str(part) for part in key)}"

    def order(self) -> tuple[str, ...]:
        """Return the fields that listings are ordered by."""
        return ("created_at", *self.key) if self.newest_first else self.key


IMAGE = RecordKind(
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
        ("parent", "created_at", "id"),
    ),
)  # fmt: skip
REPLICA = RecordKind(
    records.Replica, "replicas", "replica", ("image_id", "image_storage"),
    references="images", indexes=(("image_storage", "image_id"),),
)  # fmt: skip
EXPORT = RecordKind(
    records.ExportedImage, "exported_images", "export", ("id",), newest_first=True,
    references="images", indexes=(("image_id", "image_storage"), ("created_at", "id")),
)  # fmt: skip
LEFTOVER = RecordKind(
    records.Leftover, "leftovers", "leftover", ("id",), newest_first=True,
    indexes=(("image_storage", "id"), ("image_id", "id"), ("created_at", "id")),
)  # fmt: skip
VOLUME = RecordKind(
    records.Volume, "volumes", "volume", ("id",), newest_first=True,
    indexes=(("image_id", "id"), ("primary_storage", "id"), ("created_at", "id")),
)  # fmt: skip
CACHED = RecordKind(
    records.CachedImage, "cached_images", "cached_image", ("image_id", "primary_storage"),
    indexes=(("primary_storage", "image_id"),),
)  # fmt: skip
IMAGE_STORAGE = RecordKind(records.ImageStorage, "image_storages", "image_storage", ("name",))
PRIMARY_STORAGE = RecordKind(records.PrimaryStorage, "primary_storages", "primary_storage", ("name",))
ACCOUNT = RecordKind(records.Account, "accounts", "account", ("name",))
DEFERRED = RecordKind(
    records.Deferred, "deferred_work", "deferred", ("id",), indexes=(("storage", "id"), ("image_id", "id"))
)
WEBHOOK = RecordKind(records.Webhook, "webhooks", "webhook", ("name",))
WEBHOOK_CURSOR = RecordKind(records.WebhookCursor, "webhook_cursors", "webhook_cursor", ("webhook",), logged=False)
DELIVERY = RecordKind(
    records.Delivery, "webhook_deliveries", "delivery", ("webhook", "sequence"), logged=False,
    indexes=(("webhook", "status", "sequence"),),
)  # fmt: skip
COUNTED = RecordKind(records.Counted, "counted", "counted", ("account",), logged=False)
RESERVATION = RecordKind(
    records.Reservation, "reservations", "reservation", ("subject",), logged=False, indexes=(("account",),)
)
LEASE = RecordKind(records.Lease, "leases", "lease", ("image_id",), logged=False)
PACING = RecordKind(records.Pacing, "pacing", "pacing", ("image_storage",), logged=False)
HOST = RecordKind(records.Host, "hosts", "host", ("name",), logged=False)
SHARED_KEY = RecordKind(records.SharedKey, "shared_keys", "shared_key", ("name",), logged=False)
RUN_OUTCOME = RecordKind(
    records.RunOutcome, "run_outcomes", "run_outcome", ("run_id",), logged=False, indexes=(("created_at",),)
)
UPLOAD_PLACE = RecordKind(
    records.UploadPlace, "upload_places", "upload_place", ("id",), logged=False, indexes=(("host",),)
)
IDENTITY = RecordKind(records.Identity, "identities", "identity", ("name",))
TOKEN = RecordKind(
    records.Token,
    "tokens",
    "token",
    ("id",),
    newest_first=True,
    indexes=(("identity", "created_at", "id"), ("created_at", "id")),
)
PASSWORD = RecordKind(records.Password, "passwords", "password", ("identity",), logged=False)
TOKEN_SECRET = RecordKind(records.TokenSecret, "token_secrets", "token_secret", ("token_id",), logged=False)
SESSION = RecordKind(
    records.Session, "sessions", "session", ("id",), logged=False, indexes=(("identity", "id"), ("expires_at", "id"))
)
ATTEMPTS = RecordKind(records.Attempts, "sign_in_attempts", "attempts", ("subject",), logged=False)
OUTCOME = RecordKind(records.Outcome, "outcomes", "outcome", ("run_id",), logged=False)
FAMILY = RecordKind(records.Family, "families", "family", ("name",))
PROMOTION = RecordKind(records.Promotion, "promotions", "promotion", ("family", "cpu_architecture", "number"))
WATCH = RecordKind(records.Watch, "watches", "watch", ("name",), indexes=(("family",),))
WATCH_STATE = RecordKind(records.WatchState, "watch_states", "watch_state", ("watch",), logged=False)
CHANNEL = RecordKind(records.Channel, "channels", "channel", ("family", "cpu_architecture"), indexes=(("image_id",),))
EVENT = RecordKind(
    records.Event, "events", "event", ("sequence",), logged=False,
    indexes=(("image_id", "sequence"), ("subject", "sequence"), ("at",)),
)  # fmt: skip
EVENT_BY_SUBJECT = RecordKind(records.Event, EVENT.table, EVENT.prefix, ("subject", "sequence"), logged=False)
"""The entries of the log ordered by subject, to read the state of one record after another."""

RECORD_KINDS: tuple[RecordKind[Record], ...] = (  # parents before those that reference them
    IMAGE, REPLICA, EXPORT, LEFTOVER, VOLUME, CACHED, IMAGE_STORAGE, PRIMARY_STORAGE, ACCOUNT, DEFERRED,
    WEBHOOK, WEBHOOK_CURSOR, DELIVERY, COUNTED, RESERVATION, LEASE, PACING, HOST, SHARED_KEY, RUN_OUTCOME, UPLOAD_PLACE,
    IDENTITY, TOKEN, PASSWORD, TOKEN_SECRET, SESSION, ATTEMPTS, OUTCOME, FAMILY, PROMOTION, CHANNEL, WATCH, WATCH_STATE, EVENT,
)  # fmt: skip


def image_of(record: Record) -> str | None:
    """Return the id of the image that a record is about, if it is about one."""
    if isinstance(record, records.Image):
        return record.id
    value = getattr(record, "image_id", None)
    return value if isinstance(value, str) else None

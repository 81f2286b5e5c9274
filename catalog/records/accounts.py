"""Records of accounts and of work in progress. Import them from `catalog.records`."""

from datetime import datetime

from catalog.records.record import Record, RetentionPolicy


class Account(Record):
    """The configuration of an account; None: the setting of the whole system applies."""

    name: str
    projects: tuple[str, ...] = ()
    quota_images: int | None = None  # 0: no limit, here and below
    quota_bytes: int | None = None
    quota_stored_bytes: int | None = None  # physical, after deduplication
    retention_days: float | None = None
    retention_policy: RetentionPolicy | None = None
    created_at: datetime


class Counted(Record):
    """The totals of an account's images, updated with every change.

    They include the recycle bin, also counted separately.
    """

    account: str
    images: int = 0
    size_bytes: int = 0  # logical: sizes of the added files
    stored_bytes: int = 0  # physical: newly written for the account's replicas
    binned_images: int = 0
    binned_bytes: int = 0


class Usage(Counted):
    """An account's current usage; `reserved_…` covers running adds as far as they are not counted yet."""

    reserved_images: int = 0
    reserved_bytes: int = 0


class Reservation(Record):
    """Quota and capacity reserved for an arriving image; a repeated add replaces it."""

    subject: str  # "image:<id>"
    account: str
    storages: tuple[str, ...] = ()
    size_bytes: int = 0
    landed_bytes: int = 0  # already written, so the measured capacity is already without them
    created_at: datetime

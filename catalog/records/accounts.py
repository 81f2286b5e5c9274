"""Accounts and work in progress. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime

from catalog.records.record import Record, RetentionPolicy


class Account(Record):
    """What is configured for an account; None means the setting of the whole system applies."""

    name: str
    projects: tuple[str, ...] = ()
    quota_images: int | None = None  # 0: no limit, here and below
    quota_bytes: int | None = None
    quota_stored_bytes: int | None = None  # physical, after deduplication
    retention_days: float | None = None
    retention_policy: RetentionPolicy | None = None
    created_at: datetime


class Counted(Record):
    """What an account's images take, kept up to date with every change. The recycle bin is counted in, and apart."""

    account: str
    images: int = 0
    size_bytes: int = 0  # logical: sizes of the files added
    stored_bytes: int = 0  # physical: newly written for the account's replicas
    binned_images: int = 0
    binned_bytes: int = 0


class Usage(Counted):
    """What an account uses now, adds on their way included in `reserved_…` as far as not yet counted."""

    reserved_images: int = 0
    reserved_bytes: int = 0


class Reservation(Record):
    """Quota and capacity set aside for an image on its way in; replaced, never added, when the add is repeated."""

    subject: str  # "image:<id>"
    account: str
    storages: tuple[str, ...] = ()
    size_bytes: int = 0
    landed_bytes: int = 0  # already written, and so already missing from the measured capacity
    created_at: datetime

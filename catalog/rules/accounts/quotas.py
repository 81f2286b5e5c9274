"""Quotas of accounts and capacity of storages.

| quota | counts |
|---|---|
| images | images in any status, recycle bin included, and adds on their way |
| logical bytes | sizes of the files added, recycle bin included, and sizes reserved by adds on their way |
| stored bytes | bytes newly written for the account's replicas, after deduplication; known only afterwards |
"""

from collections.abc import Iterable

from catalog.errors import CapacityExceeded, QuotaExceeded
from catalog.records import Account, Counted, Image, Record, Reservation, Usage
from catalog.settings import Settings

NO_LIMIT = 0


class Limits(Record):
    """The limits of an account; 0: no limit."""

    images: int = NO_LIMIT
    size_bytes: int = NO_LIMIT
    stored_bytes: int = NO_LIMIT


def limits_of(account: Account, settings: Settings) -> Limits:
    """Return the account's configured limits, otherwise the whole system's."""
    return Limits(
        images=settings.quota_images if account.quota_images is None else account.quota_images,
        size_bytes=settings.quota_bytes if account.quota_bytes is None else account.quota_bytes,
        stored_bytes=account.quota_stored_bytes or NO_LIMIT,
    )


def check_quota(usage: Usage, limits: Limits, images: int, size_bytes: int) -> None:
    """Raise QuotaExceeded if `images` more, with `size_bytes` in all, do not fit. Reaching a limit exactly fits."""
    asked = (
        ("images", limits.images, usage.images + usage.reserved_images, images),
        ("logical bytes", limits.size_bytes, usage.size_bytes + usage.reserved_bytes, size_bytes),
        ("stored bytes", limits.stored_bytes, usage.stored_bytes, 1 if size_bytes else 0),
    )
    for quota, limit, used, wanted in asked:
        if limit != NO_LIMIT and wanted > 0 and used + wanted > limit:
            raise QuotaExceeded(usage.account, quota, limit, used, wanted)


def check_capacity(storage: str, available_bytes: int, others: Iterable[Reservation], size_bytes: int) -> None:
    """Raise CapacityExceeded if `size_bytes` more do not fit beside the unwritten part of other reservations.

    available_bytes: measured, after the storage's own reserve.
    """
    promised = sum(max(r.size_bytes - r.landed_bytes, 0) for r in others if storage in r.storages)
    left = available_bytes - promised
    if size_bytes > left:
        raise CapacityExceeded(storage, size_bytes, max(left, 0))


def counts_itself(image: Image | None) -> bool:
    """Tell whether an image counts by itself.

    An arriving image counts by its reservation instead. One that failed before its bytes were complete does not count,
    as refused adds must not fill a quota.
    """
    if image is None or image.status in ("Creating", "Downloading"):
        return False
    return image.status in ("Ready", "Migrating") or image.size_bytes is not None


def part_of(image: Image | None, account: str) -> Counted:
    """Return an image's part of an account's counts, without its replicas."""
    if image is None or not counts_itself(image) or image.owner != account:
        return Counted(account=account)
    size, binned = image.size_bytes or 0, image.status == "Deleted"
    return Counted(
        account=account,
        images=1,
        size_bytes=size,
        binned_images=int(binned),
        binned_bytes=size if binned else 0,
    )


def exchanged(counts: Counted, out: Counted, into: Counted) -> Counted:
    """Return an account's counts with one part replaced by another."""
    fields = [name for name in Counted.model_fields if name != "account"]
    changed = {name: getattr(counts, name) - getattr(out, name) + getattr(into, name) for name in fields}
    return counts.model_copy(update=changed)

"""Retention of deleted images in the recycle bin.

| policy | expunged |
|---|---|
| direct | at once |
| delay | when it has been there for the retention |
| never | only by hand |
"""

from datetime import datetime, timedelta

from catalog.errors import IllegalTransition
from catalog.records import Account, Image, ImageStatus, Record, RetentionPolicy
from catalog.settings import Settings


class Retention(Record):
    """The policy and the days that apply to an account."""

    policy: RetentionPolicy
    days: float


def retention_of(account: Account, settings: Settings) -> Retention:
    """Return the account's configured retention, otherwise the whole system's."""
    days = account.retention_days
    return Retention(
        policy=account.retention_policy or settings.retention_policy,
        days=settings.retention_days if days is None else days,
    )


def due_for_expunge(image: Image, now: datetime, retention: Retention) -> bool:
    """Tell whether a binned image has outlived its retention.

    now: timezone-aware UTC. The boundary counts as due. Raises IllegalTransition if the image is not in the bin.
    """
    if image.status is not ImageStatus.DELETED:
        raise IllegalTransition(f"image {image.id}", image.status, "expunge", [ImageStatus.DELETED])
    if retention.policy == "delay":
        since = image.deleted_at or image.updated_at
        return now - since >= timedelta(days=retention.days)
    return retention.policy == "direct"

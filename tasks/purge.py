"""Which images have outlived their time, and which their stay in the recycle bin."""

from datetime import datetime

from prefect import task

from catalog.records import Account, RetentionPolicy
from catalog.rules.retention import Retention, due_for_expunge, retention_of
from catalog.rules.sharing import ADMIN
from catalog.settings import Settings
from tasks.changing import now
from tasks.resources import open_resources


@task(task_run_name="find what outlived its retention")
def due_images(account: str, retention_days: float | None, policy: RetentionPolicy | None) -> tuple[str, ...]:
    """Return the ids of binned images that are due, oldest first; of the account's own images unless it is admin.

    What is configured for each owner holds; retention_days and policy override it for this run.
    """
    moment = now()
    with open_resources() as (settings, catalog):
        owner = None if account == ADMIN else account
        accounts: dict[str, Retention] = {}
        due: list[tuple[datetime, str]] = []
        for image in catalog.images(status="Deleted", owner=owner):
            if image.owner not in accounts:
                known = catalog.account(image.owner)
                accounts[image.owner] = _retention(known, settings, retention_days, policy)
            if due_for_expunge(image, moment, accounts[image.owner]):
                due.append((image.deleted_at or image.updated_at, image.id))
    return tuple(image_id for _, image_id in sorted(due))


@task(task_run_name="find what expired")
def expired_images(account: str) -> tuple[str, ...]:
    """Return the ids of images whose expiry has come, of the account's own unless it is admin.

    Those that are protected, moving or still arriving stay until they are not.
    """
    owner = None if account == ADMIN else account
    with open_resources() as (_, catalog):
        expired = catalog.images(expired_at=now(), owner=owner, status=("Ready", "Error"))
        return tuple(image.id for image in expired if not image.protected)


def _retention(
    account: Account, settings: Settings, days: float | None, policy: RetentionPolicy | None
) -> Retention:
    usual = retention_of(account, settings)
    return Retention(policy=policy or usual.policy, days=usual.days if days is None else days)

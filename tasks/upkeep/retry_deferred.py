"""Retry deferred work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImageBusy, ImagewrightError
from catalog.records import Action, Deferred, ItemOutcome, Plan
from catalog.rules.storages.hosts import bound_to, does
from catalog.rules.upkeep.deferred import due_again, host_of_work
from catalog.store.ballast import freeing_room
from tasks.images.deletion import HANDLERS, carry_out, deletion_of
from tasks.runtime.locks import WITHDRAW, export_lock, image_lock
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.settings import Settings


@task(task_run_name="find deferred work", **retrying())
def due_work(storage: str | None, force: bool, host: str | None = None) -> tuple[Deferred, ...]:
    """Return the deferred work that is due. force: also work that is due only later.

    host: only work in its directories; None: all but work in other hosts' directories.
    Work with a schedule of its own, such as a verification in pieces, is left to that schedule. Raises StorageNotFound.
    """
    with open_resources() as (settings, catalog):
        moment, here = catalog.now(), settings.host_name
        if storage is not None:
            catalog.image_storage(storage)
        owners = {s.name: bound_to(s) for s in catalog.image_storages()}
        pending = [
            work
            for work in catalog.pending(storage=storage)
            if work.operation in HANDLERS and does(host_of_work(work, owners), host, here)
        ]
    return tuple(work for work in pending if force or due_again(work, moment))


@task(task_run_name="try deferred work again", **retrying())
@freeing_room()
def retry(works: Sequence[Deferred], account: str) -> tuple[ItemOutcome, ...]:
    """Retry each item; one that fails stays deferred with the new reason.

    A storage that does not answer is asked only once.
    """
    silent: dict[str, str] = {}
    with open_resources() as (settings, catalog):
        return tuple(_retry(catalog, settings, work, account, silent) for work in works)


def _retry(
    catalog: "Catalog", settings: "Settings", work: Deferred, account: str, silent: dict[str, str]
) -> ItemOutcome:
    try:
        if work.storage in silent:
            return _waits(catalog, work, account, silent[work.storage])
        _do(catalog, settings, work)
    except ImageBusy as error:
        return ItemOutcome(subject=work.subject, outcome="pending", bytes=work.bytes, reason=str(error))
    except ImagewrightError as error:
        if error.retryable and work.storage:
            silent[work.storage] = str(error)
        return _waits(catalog, work, account, str(error))
    with changing(catalog, account) as change:
        change.remove_deferred(work.id)
    return ItemOutcome(subject=work.subject, outcome="done", bytes=work.bytes, reason=work.operation)


def _do(catalog: "Catalog", settings: "Settings", work: Deferred) -> None:
    bits = deletion_of(work)
    if work.operation == WITHDRAW or not bits.image_id:  # a withdrawal takes the lock itself
        carry_out(catalog, settings, bits)
        return
    # A file is deleted under its writer's lock: a new one of the same name may be in the making.
    with image_lock(export_lock(bits.image_id) if work.operation == "delete export" else bits.image_id):
        carry_out(catalog, settings, bits)


def _waits(catalog: "Catalog", work: Deferred, account: str, reason: str) -> ItemOutcome:
    with changing(catalog, account) as change:
        change.tried(work, reason)
    return ItemOutcome(subject=work.subject, outcome="pending", bytes=work.bytes, reason=reason)


def plan_retry(works: Sequence[Deferred]) -> Plan:
    """Return what would be retried."""
    known = [work for work in works if work.operation in HANDLERS]
    actions = tuple(
        Action(verb=work.operation, subject=work.subject, bytes=work.bytes, reason=work.reason) for work in known
    )
    return Plan(operation="retry deferred work", actions=actions, summary=f"try {len(known)} again")

"""Deferred work, tried again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageBusy, ImagewrightError
from catalog.records import Action, Deferred, ItemOutcome, Plan
from catalog.rules.deferred import due_again
from tasks.bits import HANDLERS, bits_of, delete_bits
from tasks.changing import now
from tasks.exclusive import exclusive
from tasks.resources import open_resources, run_id
from tasks.withdrawal import WITHDRAW

if TYPE_CHECKING:
    from catalog.repository import Catalog
    from catalog.settings import Settings


@task(task_run_name="find deferred work")
def due_work(storage: str | None, force: bool) -> tuple[Deferred, ...]:
    """Return the deferred work that is to be tried now. force: also what would be tried again only later.

    Work that its own schedule goes on with, such as a verification in pieces, is left to that. Raises StorageNotFound.
    """
    moment = now()
    with open_resources() as (_, catalog):
        if storage is not None:
            catalog.image_storage(storage)
        pending = [work for work in catalog.pending(storage=storage) if work.operation in HANDLERS]
    return tuple(work for work in pending if force or due_again(work, moment))


@task(task_run_name="try deferred work again")
def retry(works: Sequence[Deferred], account: str) -> tuple[ItemOutcome, ...]:
    """Try each; what fails waits on with its new reason. A storage that does not answer is asked once, not for each."""
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
    with catalog.changing(actor=account, run_id=run_id()) as change:
        change.remove_deferred(work.id)
    return ItemOutcome(subject=work.subject, outcome="done", bytes=work.bytes, reason=work.operation)


def _do(catalog: "Catalog", settings: "Settings", work: Deferred) -> None:
    if work.operation == WITHDRAW or not work.image_id:  # the withdrawal takes the lock itself
        delete_bits(catalog, settings, bits_of(work))
        return
    with exclusive(work.image_id):
        delete_bits(catalog, settings, bits_of(work))


def _waits(catalog: "Catalog", work: Deferred, account: str, reason: str) -> ItemOutcome:
    with catalog.changing(actor=account, run_id=run_id()) as change:
        change.tried(work, reason)
    return ItemOutcome(subject=work.subject, outcome="pending", bytes=work.bytes, reason=reason)


def plan_retry(works: Sequence[Deferred]) -> Plan:
    """Return what would be tried again."""
    known = [work for work in works if work.operation in HANDLERS]
    actions = tuple(
        Action(verb=work.operation, subject=work.subject, bytes=work.bytes, reason=work.reason)
        for work in known
    )
    return Plan(operation="retry deferred work", actions=actions, summary=f"try {len(known)} again")

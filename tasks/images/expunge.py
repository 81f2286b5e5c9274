"""Expunge images from the recycle bin: delete exports, replicas and the record; defer what can't be deleted now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.log import events
from catalog.records import Account, Action, Image, ItemOutcome, Plan, ReplicaStatus, RetentionPolicy
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.retention import Retention, due_for_expunge, retention_of
from catalog.rules.storages.kinds import KINDS
from catalog.settings import Settings
from catalog.store.ballast import freeing_room
from tasks.images.changes import allowed, ended, plan_each
from tasks.images.delete_export import deletion_of_export
from tasks.images.deletion import Deletion, carry_out
from tasks.runtime.batches import Outcomes, for_each
from tasks.runtime.locks import held
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task
from tasks.runtime.uploads import discard_source

if TYPE_CHECKING:
    from catalog.records import Lease
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


@dataclass(frozen=True)
class Waiting:
    """Bytes that could not be deleted, and why."""

    bits: Deletion
    reason: str


@task(task_run_name="expunge images", **retrying())
@freeing_room()
def expunge(image_ids: Sequence[str], account: str) -> Outcomes[ItemOutcome]:
    """Expunge each image; an item is `pending`, with the reason, if bytes wait for a storage.

    An image that is gone counts as done: an expunge that died can be started again.
    """
    with open_resources() as (settings, catalog):
        return for_each(image_ids, lambda image_id: _gone(catalog, settings, image_id, account))


def _gone(catalog: "Catalog", settings: Settings, image_id: str, account: str) -> ItemOutcome:
    try:
        return _expunge(catalog, settings, image_id, account)
    except ImageNotFound:
        ended(catalog, image_id, account)
        return ItemOutcome(subject=f"image:{image_id}", outcome="done", reason="it was gone already")


def _expunge(catalog: "Catalog", settings: Settings, image_id: str, account: str) -> ItemOutcome:
    allowed(catalog, image_id, account, "expunge")
    with held(catalog, image_id) as lease:
        image, all_bits = _begin(catalog, image_id, account, lease)
        waiting = tuple(_delete_all(catalog, settings, all_bits))
        known = frozenset(bits.subject for bits in all_bits)
        _let_go(catalog, image_id, account, lease, waiting, known)
        discard_source(image.source, settings, image.owner)  # of an add that failed
    freed = sum(b.bytes for b in all_bits) - sum(w.bits.bytes for w in waiting)
    reasons = "; ".join(f"{w.bits.operation} on {w.bits.storage or w.bits.location}: {w.reason}" for w in waiting)
    emit(events.IMAGE_EXPUNGED, image, pending=len(waiting))
    outcome = "pending" if waiting else "done"
    return ItemOutcome(subject=f"image:{image_id}", outcome=outcome, bytes=freed, reason=reasons)


def _begin(catalog: "Catalog", image_id: str, account: str, lease: "Lease") -> tuple[Image, tuple[Deletion, ...]]:
    """Mark the replicas, so that a half-expunged image can't be recovered; return all deletions."""
    with changing(catalog, account, lease) as change:
        image, _ = allowed(change, image_id, account, "expunge")
        for replica in tuple(change.replicas(image_id)):
            change.save_replica(replica.model_copy(update={"status": ReplicaStatus.DELETING}))
        return image, tuple(deletions_of_image(change, image))


def deletions_of_image(catalog: "Reading", image: Image) -> Iterator[Deletion]:
    """Yield deletions of all that an image has on storages: exports, replicas, leftovers, landings of a failed add."""
    for export in catalog.exports(image.id):
        yield deletion_of_export(export)
    freed_at_once = {s.name: KINDS[s.kind].frees_on_delete for s in catalog.image_storages()}
    held = set()
    for replica in catalog.replicas(image.id):
        held.add(replica.image_storage)
        size = replica.stored_bytes if freed_at_once.get(replica.image_storage) else 0
        yield Deletion(
            operation="delete replica",
            subject=f"replica:{image.id}@{replica.image_storage}",
            image_id=image.id,
            storage=replica.image_storage,
            location=replica.location,
            bytes=size,
        )
    for leftover in catalog.leftovers(image_id=image.id):
        yield Deletion(
            operation="delete leftover",
            subject=f"replica:{image.id}@{leftover.image_storage}",
            image_id=image.id,
            storage=leftover.image_storage,
            location=leftover.location,
        )
    for name in image.image_storages if image.error else ():
        if name not in held and name in freed_at_once:
            yield Deletion(
                operation="delete landing", subject=f"replica:{image.id}@{name}", image_id=image.id, storage=name
            )


def _delete_all(catalog: "Catalog", settings: Settings, all_bits: Sequence[Deletion]) -> Iterator[Waiting]:
    """Delete what can be deleted now and yield the rest; a failure on one storage stops no other."""
    for bits in all_bits:
        try:
            carry_out(catalog, settings, bits)
        except ImagewrightError as error:
            yield Waiting(bits, str(error))


def _let_go(
    catalog: "Catalog",
    image_id: str,
    account: str,
    lease: "Lease",
    waiting: Sequence[Waiting],
    known: frozenset[str],
) -> None:
    """Remove the image from the catalog and defer the waiting deletions, in one transaction."""
    with changing(catalog, account, lease) as change:
        for one in waiting:
            one.bits.defer(change, one.reason)
        for export in tuple(change.exports(image_id)):
            if f"export:{export.id}" not in known:
                deletion_of_export(export).defer(change, "it was written while the image was expunged")
            change.remove_export(export.id)
        for leftover in tuple(change.leftovers(image_id=image_id)):
            change.remove_leftover(leftover.id)
        for replica in tuple(change.replicas(image_id)):
            change.remove_replica(image_id, replica.image_storage)
        change.remove_image(image_id, event=events.IMAGE_EXPUNGED)


@task(task_run_name="plan expunge", **retrying())
def plan_expunge(image_ids: Sequence[str], account: str) -> Plan:
    """Return what an expunge would delete of each image. Changes nothing."""
    with open_resources() as (_, catalog):
        return plan_each(image_ids, "expunge image", lambda i: _planned(catalog, i, account))


def _planned(catalog: "Catalog", image_id: str, account: str) -> tuple[Action, ...]:
    image, _ = allowed(catalog, image_id, account, "expunge")
    bits = tuple(deletions_of_image(catalog, image))
    actions = [Action(verb=b.operation, subject=b.subject, bytes=b.bytes, reason=b.location) for b in bits]
    return (*actions, Action(verb="remove record", subject=f"image:{image_id}"))


@task(task_run_name="find what outlived its retention", **retrying())
def due_images(account: str, retention_days: float | None, policy: RetentionPolicy | None) -> tuple[str, ...]:
    """Return the ids of binned images that are due, oldest first; only the account's own unless it is admin.

    Each owner's settings decide; retention_days and policy override them for this run.
    """
    with open_resources() as (settings, catalog):
        moment = catalog.now()
        owner = None if account == ADMIN else account
        accounts: dict[str, Retention] = {}
        due: list[tuple[datetime, str]] = []
        for image in catalog.tolerant().images(status="Deleted", owner=owner):
            if image.owner not in accounts:
                known = catalog.account(image.owner)
                accounts[image.owner] = _retention(known, settings, retention_days, policy)
            if due_for_expunge(image, moment, accounts[image.owner]):
                due.append((image.deleted_at or image.updated_at, image.id))
    return tuple(image_id for _, image_id in sorted(due))


@task(task_run_name="find what expired", **retrying())
def expired_images(account: str) -> tuple[str, ...]:
    """Return the ids of expired images, only the account's own unless it is admin.

    Protected, moving and arriving images stay for as long as they are so.
    """
    owner = None if account == ADMIN else account
    with open_resources() as (_, catalog):
        expired = catalog.tolerant().images(expired_at=catalog.now(), owner=owner, status=("Ready", "Error"))
        return tuple(image.id for image in expired if not image.protected)


def _retention(account: Account, settings: Settings, days: float | None, policy: RetentionPolicy | None) -> Retention:
    usual = retention_of(account, settings)
    return Retention(policy=policy or usual.policy, days=usual.days if days is None else days)

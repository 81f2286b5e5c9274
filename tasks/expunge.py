"""Expunge images from the recycle bin: exports, replicas and the record go; what can't go now is remembered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.records import Action, Image, ItemOutcome, Plan, ReplicaStatus
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from tasks.bits import Bits, delete_bits
from tasks.changing import ended, owned, plan_each
from tasks.delete_export import bits_of_export
from tasks.each import Outcomes, each
from tasks.events import emit
from tasks.resources import holder, is_dead, open_resources, run_id

if TYPE_CHECKING:
    from catalog.reading import Reading
    from catalog.records import Lease
    from catalog.repository import Catalog

EVENT = "imagewright.image.expunged"


@dataclass(frozen=True)
class Waiting:
    """Bits that could not be deleted, and why."""

    bits: Bits
    reason: str


@task(task_run_name="expunge images")
def expunge(image_ids: Sequence[str], account: str) -> Outcomes[ItemOutcome]:
    """Expunge each image; an item is `pending` where bits wait for a storage, with the reason.

    One that is gone is done: an expunge that died can be started again.
    """
    with open_resources() as (settings, catalog):
        return each(image_ids, lambda image_id: _gone(catalog, settings, image_id, account))


def _gone(catalog: "Catalog", settings: Settings, image_id: str, account: str) -> ItemOutcome:
    try:
        return _expunge(catalog, settings, image_id, account)
    except ImageNotFound:
        ended(catalog, image_id, account)
        return ItemOutcome(subject=f"image:{image_id}", outcome="done", reason="it was gone already")


def _expunge(catalog: "Catalog", settings: Settings, image_id: str, account: str) -> ItemOutcome:
    status_after(owned(catalog, image_id, account, "expunge"), "expunge")
    with catalog.locked(image_id, holder=holder(), is_dead=is_dead) as lease:
        image, all_bits = _begin(catalog, image_id, account, lease)
        waiting = tuple(_delete_all(catalog, settings, all_bits))
        known = frozenset(bits.subject for bits in all_bits)
        _let_go(catalog, image_id, account, lease, waiting, known)
    freed = sum(b.bytes for b in all_bits) - sum(w.bits.bytes for w in waiting)
    reasons = "; ".join(
        f"{w.bits.operation} on {w.bits.storage or w.bits.location}: {w.reason}" for w in waiting
    )
    emit("image.expunged", image, pending=len(waiting))
    outcome = "pending" if waiting else "done"
    return ItemOutcome(subject=f"image:{image_id}", outcome=outcome, bytes=freed, reason=reasons)


def _begin(catalog: "Catalog", image_id: str, account: str, lease: "Lease") -> tuple[Image, tuple[Bits, ...]]:
    """Mark the replicas, so that a half-expunged image can't be recovered; return all that is to be deleted."""
    with catalog.changing(actor=account, run_id=run_id(), lease=lease) as change:
        image = owned(change, image_id, account, "expunge")
        status_after(image, "expunge")
        for replica in tuple(change.replicas(image_id)):
            change.save_replica(replica.model_copy(update={"status": ReplicaStatus.DELETING}))
        return image, tuple(bits_of_image(change, image))


def bits_of_image(catalog: "Reading", image: Image) -> Iterator[Bits]:
    """Yield everything an image has anywhere: exports, replicas, leftovers of moves, landings of an add that failed."""
    for export in catalog.exports(image.id):
        yield bits_of_export(export)
    kinds = {s.name: s.kind for s in catalog.image_storages()}
    held = set()
    for replica in catalog.replicas(image.id):
        held.add(replica.image_storage)
        size = replica.stored_bytes if kinds.get(replica.image_storage) == "ceph" else 0
        yield Bits(operation="delete replica", subject=f"replica:{image.id}@{replica.image_storage}",
                   image_id=image.id, storage=replica.image_storage, location=replica.location, bytes=size)  # fmt: skip
    for leftover in catalog.leftovers(image_id=image.id):
        yield Bits(operation="delete leftover", subject=f"replica:{image.id}@{leftover.image_storage}",
                   image_id=image.id, storage=leftover.image_storage, location=leftover.location)  # fmt: skip
    for name in image.image_storages if image.error else ():
        if name not in held and name in kinds:
            yield Bits(operation="delete landing", subject=f"replica:{image.id}@{name}", image_id=image.id,
                       storage=name)  # fmt: skip


def _delete_all(catalog: "Catalog", settings: Settings, all_bits: Sequence[Bits]) -> Iterator[Waiting]:
    """Delete what can be deleted now; yield the rest. Nothing of one storage stops the others."""
    for bits in all_bits:
        try:
            delete_bits(catalog, settings, bits)
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
    """Take the image out of the catalog and remember what waits, in one transaction."""
    with catalog.changing(actor=account, run_id=run_id(), lease=lease) as change:
        for one in waiting:
            one.bits.defer(change, one.reason)
        for export in tuple(change.exports(image_id)):
            if f"export:{export.id}" not in known:
                bits_of_export(export).defer(change, "it was written while the image was expunged")
            change.remove_export(export.id)
        for leftover in tuple(change.leftovers(image_id=image_id)):
            change.remove_leftover(leftover.id)
        for replica in tuple(change.replicas(image_id)):
            change.remove_replica(image_id, replica.image_storage)
        change.remove_image(image_id, event=EVENT)


@task(task_run_name="plan expunge")
def plan_expunge(image_ids: Sequence[str], account: str) -> Plan:
    """Return what an expunge would delete of each image. Changes nothing."""
    with open_resources() as (_, catalog):
        return plan_each(image_ids, "expunge image", lambda i: _planned(catalog, i, account))


def _planned(catalog: "Catalog", image_id: str, account: str) -> tuple[Action, ...]:
    image = owned(catalog, image_id, account, "expunge")
    status_after(image, "expunge")
    bits = tuple(bits_of_image(catalog, image))
    actions = [Action(verb=b.operation, subject=b.subject, bytes=b.bytes, reason=b.location) for b in bits]
    return (*actions, Action(verb="remove record", subject=f"image:{image_id}"))

"""Synchronising images between ImageStores: what is behind, in batches; chips first, manifests, then the catalog."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from prefect import get_run_logger, task

from catalog.errors import ImageBusy, ImagewrightError
from catalog.records import (
    Action,
    Image,
    ItemOutcome,
    Plan,
    Replica,
    SyncOutcome,
)
from catalog.rules.transitions import status_after
from storage.imagestore import ImageStore
from storage.syncing import Shipped, lacking_bytes, ship
from tasks.behind import Behind, Selection, open_pair, whole_on
from tasks.damage import settle
from tasks.events import emit
from tasks.pacing import pace_into
from tasks.progress import progress
from tasks.reclaim import SYNC, is_busy
from tasks.resources import holder, is_dead, open_image_storage, open_resources, run_id
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.repository import Catalog


@task(task_run_name="sync {image_ids[0]} and more to {target}", **retrying())
def sync_batch(
    source: str, target: str, image_ids: Sequence[str], account: str, bandwidth_bytes_s: int
) -> tuple[tuple[SyncOutcome, ...], int]:
    """Bring a batch of images to the target; return an outcome each, and the bytes that need not travel.

    A batch that broke off goes on with what had arrived. Raises CapacityExceeded, StorageUnavailable.
    """
    landing_id = landing_of(source, image_ids)
    with open_resources() as (settings, catalog), ExitStack() as stack:
        stores = open_pair(catalog, settings, source, target)
        stack.enter_context(catalog.locked(landing_id, holder(), is_dead=is_dead))
        images, busy = _lock(catalog, stack, image_ids, source)
        meter = stack.enter_context(progress(f"{SYNC}{landing_id[-12:]}", f"sync {source} to {target}"))
        pace = pace_into(catalog, (target,), bandwidth_bytes_s)
        shipped = ship(*stores, images, landing_id, pace=pace, progress=meter)
        _record(catalog, shipped, account)
    for image, done in zip(images, shipped, strict=False):
        if done.replica is not None and len(images) == 1:
            emit("image.synced", image, source=source, target=target, bytes_sent=done.bytes_sent)
    saved = sum(done.bytes_saved for done in shipped)
    get_run_logger().info(
        "%s images, %s bytes sent, %s saved", len(images), sum(d.bytes_sent for d in shipped), saved
    )
    return (*map(_outcome, shipped), *busy), saved


@task(task_run_name="plan sync to {selection.target}", **retrying())
def plan_sync(selection: Selection, behind: Behind, *, mirror: bool = False) -> Plan:
    """Return what would travel, image by image, and with `mirror` what would be deleted. Changes nothing."""
    actions = [
        Action(verb="leave", subject=f"image:{o.image_id}", reason=o.error or o.outcome)
        for o in behind.outcomes
    ]
    there = 0
    with open_resources() as (settings, catalog):
        source, target = open_pair(catalog, settings, selection.source, selection.target)
        for batch in behind.batches:
            for image_id, (sent, saved) in lacking_bytes(
                source, target, [catalog.image(i) for i in batch]
            ).items():
                reason = f"{saved} bytes of its chips are there"
                actions.append(
                    Action(verb="send chips", subject=f"image:{image_id}", bytes=sent, reason=reason)
                )
                there += saved
        if mirror:
            extra = _extra(catalog, selection, behind.matching)
            actions += [
                Action(
                    verb="delete replica",
                    subject=f"replica:{r.image_id}@{r.image_storage}",
                    reason="it does not match",
                )
                for r in extra
            ]
    count = sum(map(len, behind.batches))
    total = sum(action.bytes for action in actions)
    summary = f"sync {count} images from {selection.source} to {selection.target}: {total} bytes"
    return Plan(
        operation="sync images",
        actions=tuple(actions),
        bytes_to_move=total,
        bytes_already_there=there,
        summary=summary,
    )


@task(task_run_name="mirror deletions to {selection.target}", **retrying())
def mirror_deletions(selection: Selection, wanted: Sequence[str]) -> tuple[ItemOutcome, ...]:
    """Delete replicas on the target of images that the source holds whole and that no longer match the rule."""
    with open_resources() as (settings, catalog):
        _, target = open_pair(catalog, settings, selection.source, selection.target)
        extra = _extra(catalog, selection, wanted)
        return tuple(_unmirror(catalog, target, replica, selection.account) for replica in extra)


@task(task_run_name="sweep syncs that died on {target}")
def sweep_dead_syncs(target: str) -> int:
    """Discard the landings of syncs whose run is dead and that this run did not go on with; return how many."""
    count = 0
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(target), settings)
        for found in list(storage.landings()):
            if found.landing_id.startswith(SYNC) and not is_busy(catalog, found.landing_id):
                storage.landing(found.landing_id).discard()
                count += 1
    return count


def landing_of(source: str, image_ids: Sequence[str]) -> str:
    """Return the landing's id: the same batch from the same source finds what an earlier attempt brought."""
    return f"{SYNC}{uuid5(NAMESPACE_URL, source + ' ' + ' '.join(image_ids))}"


def _lock(
    catalog: "Catalog", stack: ExitStack, image_ids: Sequence[str], source: str
) -> tuple[list[Image], list[SyncOutcome]]:
    """Lock what can be locked; images that somebody works on, or that changed meanwhile, are left to the next run."""
    images: list[Image] = []
    left: list[SyncOutcome] = []
    locked = stack.enter_context(catalog.locked_together(image_ids, holder(), is_dead=is_dead))
    for image_id in image_ids:
        try:
            if image_id in locked.busy:
                raise ImageBusy(image_id, locked.busy[image_id])
            image = catalog.image(image_id)
            status_after(image, "sync")
            catalog.replica(image_id, source)
            images.append(image)
        except ImagewrightError as error:
            left.append(SyncOutcome(image_id=image_id, outcome="failed", error=str(error)))
    return images, left


def _record(catalog: "Catalog", shipped: Sequence[Shipped], account: str) -> None:
    """Save all replicas of a batch in one transaction: their images are locked, so nothing changed meanwhile."""
    with catalog.changing(account, run_id()) as change:
        for done in shipped:
            if done.replica is not None:
                change.save_replica(done.replica, event="imagewright.image.synced")
                for left in tuple(
                    change.leftovers(image_storage=done.replica.image_storage, image_id=done.image_id)
                ):
                    change.remove_leftover(
                        left.id, event="imagewright.leftover.reused"
                    )  # its chips are a replica's again
                settle(change, change.image(done.image_id))


def _outcome(done: Shipped) -> SyncOutcome:
    return SyncOutcome(
        image_id=done.image_id, outcome="failed" if done.error else "synced", chips_total=done.chips_total,
        chips_sent=done.chips_sent, bytes_sent=done.bytes_sent, error=done.error,
    )  # fmt: skip


def _extra(catalog: "Catalog", selection: Selection, wanted: Sequence[str]) -> list[Replica]:
    """Return the replicas on the target that the source holds whole too and that do not match."""
    there, keep = {r.image_id for r in whole_on(catalog, selection.source)}, set(wanted)
    on_target = catalog.replicas(image_storage=selection.target)
    return [r for r in on_target if r.image_id in there and r.image_id not in keep]


def _unmirror(catalog: "Catalog", target: ImageStore, replica: Replica, account: str) -> ItemOutcome:
    subject = f"{replica.image_id} on {target.name}"
    try:
        with catalog.locked(replica.image_id, holder(), is_dead=is_dead) as lease:
            with catalog.changing(account, run_id(), lease=lease) as change:
                change.remove_replica(replica.image_id, target.name, event="imagewright.replica.unmirrored")
            target.delete(replica.image_id)
    except ImagewrightError as error:
        return ItemOutcome(subject=subject, outcome="failed", reason=str(error))
    return ItemOutcome(
        subject=subject, outcome="done", reason="it no longer matches the rule", bytes=replica.size_bytes
    )

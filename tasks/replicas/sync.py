"""Synchronise images between ImageStores in batches: chips first, then manifests, then the catalog."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from catalog.errors import ImageBusy, ImageNotFound, ImagewrightError
from catalog.log import events
from catalog.records import (
    Action,
    Image,
    Plan,
    Replica,
    SyncOutcome,
)
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.transitions import status_after
from storage.replicas.sync import Pair, Shipped, lacking_bytes, ship
from storage.transfer.bandwidth import Pace, pace_into
from tasks.replicas.compare import Backlog, Selection, open_pair
from tasks.replicas.landings import SYNC
from tasks.replicas.move import leftover_of
from tasks.replicas.readable import whole_replicas
from tasks.replicas.repair import refresh_image_status
from tasks.runtime.holders import is_busy
from tasks.runtime.locks import held, held_together
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


@task(task_run_name="sync {image_ids[0]} and more to {target}", **retrying())
def sync_batch(
    source: str, target: str, image_ids: Sequence[str], account: str, bandwidth_bytes_s: int
) -> tuple[tuple[SyncOutcome, ...], int]:
    """Copy a batch of images to the target; return an outcome per image, and the bytes that needed no transfer.

    An interrupted batch resumes with the chips that had arrived. Raises CapacityExceeded, StorageUnavailable.
    """
    with open_resources() as (settings, catalog):
        pair = open_pair(catalog, settings, source, target)
        with _locked(catalog, source, image_ids) as (images, busy):
            shipped = _ship(
                pair, images, landing_of(source, image_ids), pace_into(catalog, (target,), bandwidth_bytes_s)
            )
            _record(catalog, shipped, account)
    sent, saved = sum(done.bytes_sent for done in shipped), sum(done.bytes_saved for done in shipped)
    run_logger().info("%s images, %s bytes sent, %s saved", len(images), sent, saved)
    return (*map(_outcome, shipped), *busy), saved


def tell_outcomes(source: str, target: str, outcomes: Sequence[SyncOutcome], account: str) -> None:
    """Emit an event about each image's outcome, except images that the account may not see."""
    with open_resources() as (_, catalog):
        for done in outcomes:
            with suppress(ImageNotFound):
                image = catalog.image(done.image_id, account=account)
                if done.outcome == "synced":
                    emit(events.IMAGE_SYNCED, image, source=source, target=target, bytes_sent=done.bytes_sent)
                if done.outcome == "failed":
                    emit(events.IMAGE_SYNC_FAILED, image, source=source, target=target, error=done.error)


@task(task_run_name="plan sync to {selection.target}", **retrying())
def plan_sync(selection: Selection, behind: Backlog, *, mirror: bool = False) -> Plan:
    """Return what would be transferred, image by image, and with `mirror` what would be deleted. Changes nothing."""
    actions = [
        Action(verb="leave", subject=f"image:{o.image_id}", reason=o.error or o.outcome) for o in behind.outcomes
    ]
    with open_resources() as (settings, catalog):
        pair = open_pair(catalog, settings, selection.source, selection.target)
        lacking = [lacking_bytes(*pair, [catalog.image(i) for i in batch]) for batch in behind.batches]
        actions += [_travelling(image_id, *sizes) for batch in lacking for image_id, sizes in batch.items()]
        if mirror:
            actions += [_planned(*found) for found in _extra(catalog, selection, behind.matching)]
    total = sum(action.bytes for action in actions)
    count, there = sum(map(len, behind.batches)), sum(saved for batch in lacking for _, saved in batch.values())
    summary = f"sync {count} images from {selection.source} to {selection.target}: {total} bytes"
    return Plan(
        operation="sync images", actions=tuple(actions), bytes_to_move=total, bytes_already_there=there, summary=summary
    )


def _travelling(image_id: str, sent: int, saved: int) -> Action:
    reason = f"{saved} bytes of its chips are there"
    return Action(verb="send chips", subject=f"image:{image_id}", bytes=sent, reason=reason)


@task(task_run_name="mirror deletions to {selection.target}", **retrying())
def mirror_deletions(selection: Selection, wanted: Sequence[str]) -> tuple[SyncOutcome, ...]:
    """Turn the target's replicas of images that no longer match into leftovers, if the source holds them whole.

    Their bytes stay until the leftovers are cleaned up, and are used again if the images match again before. Replicas
    of protected images stay.
    """
    with open_resources() as (_, catalog):
        return tuple(
            _unmirror(catalog, selection, replica, kept) for replica, kept in _extra(catalog, selection, wanted)
        )


@task(task_run_name="sweep syncs that died on {target}", **retrying())
def sweep_dead_syncs(target: str) -> int:
    """Discard the landings of dead syncs that this run did not resume; return how many."""
    count = 0
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(target), settings)
        for found in list(storage.landings()):
            if found.landing_id.startswith(SYNC) and not is_busy(catalog, found.landing_id):
                storage.landing(found.landing_id).discard()
                count += 1
    return count


def landing_of(source: str, image_ids: Sequence[str]) -> str:
    """Return a batch's landing id.

    It is the same for the same batch and source, so a new attempt finds the old one's chips.
    """
    return f"{SYNC}{uuid5(NAMESPACE_URL, source + ' ' + ' '.join(image_ids))}"


@contextmanager
def _locked(
    catalog: "Catalog", source: str, image_ids: Sequence[str]
) -> Iterator[tuple[list[Image], list[SyncOutcome]]]:
    """Lock the images that can be locked; leave those that are busy or were changed meanwhile to the next run."""
    images: list[Image] = []
    left: list[SyncOutcome] = []
    with held(catalog, landing_of(source, image_ids)), held_together(catalog, image_ids) as locked:
        for image_id in image_ids:
            try:
                if image_id in locked.busy:
                    raise ImageBusy(image_id, locked.busy[image_id])
                images.append(_as_it_is(catalog, source, image_id))
            except ImagewrightError as error:
                left.append(SyncOutcome(image_id=image_id, outcome="failed", error=str(error)))
        yield images, left


def _as_it_is(catalog: "Catalog", source: str, image_id: str) -> Image:
    """Read an image anew. Raises ImagewrightError unless it may be synced and has a replica on the source."""
    image = catalog.image(image_id)
    status_after(image, "sync")
    catalog.replica(image_id, source)
    return image


def _ship(pair: Pair, images: Sequence[Image], landing_id: str, pace: Pace | None) -> tuple[Shipped, ...]:
    source, target = pair
    with progress(f"{SYNC}{landing_id[-12:]}", f"sync {source.name} to {target.name}") as meter:
        return ship(source, target, images, landing_id, pace=pace, progress=meter)


def _record(catalog: "Catalog", shipped: Sequence[Shipped], account: str) -> None:
    """Save all replicas of a batch in one transaction: their images are locked, so nothing has changed meanwhile."""
    with changing(catalog, account) as change:
        for done in shipped:
            if done.replica is not None:
                change.save_replica(done.replica, event=events.IMAGE_SYNCED)
                for left in tuple(change.leftovers(image_storage=done.replica.image_storage, image_id=done.image_id)):
                    change.remove_leftover(left.id, event=events.LEFTOVER_REUSED)  # a replica owns its chips again
                refresh_image_status(change, change.image(done.image_id))


def _outcome(done: Shipped) -> SyncOutcome:
    return SyncOutcome(
        image_id=done.image_id,
        outcome="failed" if done.error else "synced",
        chips_total=done.chips_total,
        chips_sent=done.chips_sent,
        bytes_sent=done.bytes_sent,
        error=done.error,
    )


def _extra(catalog: "Catalog", selection: Selection, wanted: Sequence[str]) -> list[tuple[Replica, str]]:
    """Return the account's non-matching replicas on the target that the source holds whole, each with why it stays."""
    there, keep = {r.image_id for r in whole_replicas(catalog, image_storage=selection.source)}, set(wanted)
    on_target = whole_replicas(catalog, image_storage=selection.target)
    extra = [r for r in on_target if r.image_id in there and r.image_id not in keep]
    pairs = [(replica, catalog.image(replica.image_id)) for replica in extra]
    return [(r, _kept_for(image)) for r, image in pairs if selection.account in (ADMIN, image.owner)]


def _kept_for(image: Image) -> str:
    return "it is protected" if image.protected else ""


def _planned(replica: Replica, kept: str) -> Action:
    subject = f"replica:{replica.image_id}@{replica.image_storage}"
    if kept:
        return Action(verb="keep", subject=subject, reason=f"it does not match, but {kept}")
    return Action(verb="make leftover", subject=subject, reason="it does not match; clean_up_leftovers frees it")


def _unmirror(catalog: "Catalog", selection: Selection, replica: Replica, kept: str) -> SyncOutcome:
    """Turn a replica into a leftover, if it still does not match."""
    try:
        if not kept:
            with (
                held(catalog, replica.image_id) as lease,
                changing(catalog, selection.account, lease) as change,
            ):
                kept = _kept_for(change.image(replica.image_id))
                if not kept:
                    change.remove_replica(replica.image_id, replica.image_storage, event=events.REPLICA_UNMIRRORED)
                    change.save_leftover(leftover_of(replica, selection.source, change.now()))
    except ImagewrightError as error:
        return SyncOutcome(image_id=replica.image_id, outcome="failed", error=str(error))
    if kept:
        return SyncOutcome(image_id=replica.image_id, outcome="kept", error=f"it no longer matches, but {kept}")
    return SyncOutcome(image_id=replica.image_id, outcome="removed")

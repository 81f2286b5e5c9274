"""Synchronising images between ImageStores: what is behind, in batches; chips first, manifests, then the catalog."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from prefect import get_run_logger, task

from catalog.errors import ImageBusy, ImageNotFound, ImagewrightError, InvalidRequest
from catalog.records import (
    Action,
    Image,
    ImageStatus,
    ItemOutcome,
    Plan,
    Record,
    Replica,
    ReplicaStatus,
    SyncOutcome,
)
from catalog.rules.sharing import require_owner
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from storage.chips.pins import MANIFESTS
from storage.imagestore import ImageStore
from storage.sync_network import source_address
from storage.syncing import Shipped, lacking_bytes, ship
from tasks.damage import settle
from tasks.events import emit
from tasks.progress import progress
from tasks.reclaim import SYNC, is_busy
from tasks.resources import holder, is_dead, open_image_storage, open_resources, run_id
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.repository import Catalog

BATCH_IMAGES = 100
BATCH_BYTES = 4 << 30  # of files: what a failure in the middle makes a batch look through again


class Selection(Record):
    """Which images a sync is about."""

    source: str
    target: str
    account: str = "admin"
    image_ids: tuple[str, ...] = ()
    name_pattern: str = "*"
    family: str | None = None
    owner: str | None = None
    changed_since: datetime | None = None


class Behind(Record):
    """What a sync found. batches: ids of images that the target lacks; outcomes: of all others."""

    batches: tuple[tuple[str, ...], ...] = ()
    outcomes: tuple[SyncOutcome, ...] = ()
    bytes_there: int = 0  # files of the images that are there already

    @property
    def matching(self) -> tuple[str, ...]:
        """Ids of all images that the sync is about."""
        return (*(i for batch in self.batches for i in batch), *(o.image_id for o in self.outcomes))


@task(task_run_name="compare {selection.source} and {selection.target}", **retrying())
def compare_stores(selection: Selection) -> Behind:
    """Return what the target lacks; costs one listing of its manifests and no question per image.

    Raises StorageNotFound, InvalidRequest, StorageRefused, StorageUnavailable; an id that can't be synced is an outcome.
    """
    with open_resources() as (settings, catalog):
        source, target = open_pair(catalog, settings, selection.source, selection.target)
        source.check()
        target.check()
        listed = {info.name.removeprefix(MANIFESTS) for info in target.objects.list(MANIFESTS)}
        known = {r.image_id: r for r in catalog.replicas(image_storage=selection.target)}
        lacking, there, failed = [], [], []
        for found in _selected(catalog, selection):
            if isinstance(found, SyncOutcome):
                failed.append(found)
            elif found[0].id in listed and _in_sync(found[1], known.get(found[0].id)):
                there.append(found[1])
            else:
                lacking.append(found[1])
    outcomes = [SyncOutcome(image_id=r.image_id, outcome="already there") for r in there]
    return Behind(
        batches=tuple(batches_of(lacking)),
        outcomes=(*outcomes, *failed),
        bytes_there=sum(r.size_bytes for r in there),
    )


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
        shipped = ship(*stores, images, landing_id, bandwidth_bytes_s=bandwidth_bytes_s, progress=meter)
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


def open_pair(
    catalog: "Catalog", settings: Settings, source: str, target: str
) -> tuple[ImageStore, ImageStore]:
    """Open both ImageStores, connections bound to the sync network where one is set.

    Raises InvalidRequest for the same storage twice or one without chips, StorageRefused without an address there.
    """
    if source == target:
        raise InvalidRequest("target", target, "another ImageStore than the source")
    records = [catalog.image_storage(name) for name in (source, target)]
    opened = []
    for record, other in zip(records, reversed(records), strict=True):
        storage = open_image_storage(record, settings, source_address(record, other))
        if not isinstance(storage, ImageStore):
            raise InvalidRequest(
                "source" if record.name == source else "target", record.name,
                f"an ImageStore; {record.kind} storages hold no chips, use change_image_storage",
            )  # fmt: skip
        opened.append(storage)
    return opened[0], opened[1]


def batches_of(replicas: Sequence[Replica]) -> Iterator[tuple[str, ...]]:
    """Cut images into batches, bounded in number and bytes, in an order that is the same in every run."""
    batch: list[str] = []
    size = 0
    for replica in sorted(replicas, key=lambda r: r.image_id):
        if batch and (len(batch) == BATCH_IMAGES or size + replica.size_bytes > BATCH_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(replica.image_id)
        size += replica.size_bytes
    if batch:
        yield tuple(batch)


def landing_of(source: str, image_ids: Sequence[str]) -> str:
    """Return the landing's id: the same batch from the same source finds what an earlier attempt brought."""
    return f"{SYNC}{uuid5(NAMESPACE_URL, source + ' ' + ' '.join(image_ids))}"


def _selected(catalog: "Catalog", selection: Selection) -> Iterator[tuple[Image, Replica] | SyncOutcome]:
    """Yield each image asked for with its replica on the source, or why it can't be synced."""
    whole = {r.image_id: r for r in _whole(catalog, selection.source)}
    if selection.image_ids:
        for image_id in dict.fromkeys(selection.image_ids):
            yield _asked_for(catalog, image_id, whole.get(image_id), selection)
        return
    matching = catalog.images(
        status=ImageStatus.READY, name_pattern=selection.name_pattern, family=selection.family, owner=selection.owner,
        changed_since=selection.changed_since, image_storage=selection.source,
    )  # fmt: skip
    for image in matching:
        if image.id in whole and selection.account in ("admin", image.owner):
            yield image, whole[image.id]


def _asked_for(
    catalog: "Catalog", image_id: str, replica: Replica | None, selection: Selection
) -> tuple[Image, Replica] | SyncOutcome:
    try:
        image = catalog.image(image_id, account=selection.account)
        require_owner(image, catalog.account(selection.account), "sync")
        status_after(image, "sync")
        if replica is None:
            raise ImageNotFound(f"{image_id} on {selection.source}")
    except ImagewrightError as error:
        return SyncOutcome(image_id=image_id, outcome="failed", error=str(error))
    return image, replica


def _whole(catalog: "Catalog", storage: str) -> Iterator[Replica]:
    return (r for r in catalog.replicas(image_storage=storage) if r.status is ReplicaStatus.READY)


def _in_sync(replica: Replica, there: Replica | None) -> bool:
    """Tell whether the catalog's row of the target is of the same file."""
    if there is None or there.status is not ReplicaStatus.READY:
        return False
    return (there.size_bytes, there.sha256) == (replica.size_bytes, replica.sha256)


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
    there, keep = {r.image_id for r in _whole(catalog, selection.source)}, set(wanted)
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

"""The image cache of a primary storage: filled once per image, cleaned of what nobody uses."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageBusy, ImageNotFound, ReplicaInUse, StorageError
from catalog.records import Action, CachedImage, Image, ItemOutcome, Plan, Replica, ReplicaStatus
from catalog.rules.cache import Drop, cache_to_drop
from catalog.settings import Settings
from storage.protocols import CachedFile, ImageStorage, PrimaryStorage
from tasks.artifacts import key_of
from tasks.changing import now
from tasks.exclusive import in_turn
from tasks.export_room import data_bytes, reader_of
from tasks.progress import progress
from tasks.promised_room import promised_room
from tasks.resources import open_image_storage, open_primary_storage, open_resources, run_id

if TYPE_CHECKING:
    from catalog.reading import Reading
    from catalog.repository import Catalog


def lock_of(image_id: str, primary_storage: str) -> str:
    """Return the lock under which an image's copy on a primary storage is made, used and dropped."""
    return f"cache:{image_id}@{primary_storage}"


def known_copy(catalog: "Reading", primary: PrimaryStorage, image_id: str) -> CachedFile | None:
    """Return the image's copy on the primary storage if the catalog knows it and it is whole."""
    cached = catalog.cached_image(image_id, primary.name)
    return primary.holds(cached) if cached else None


def readable(catalog: "Reading", image: Image) -> Sequence[Replica]:
    """Return the replicas an image can be read from. Raises ImageNotFound."""
    ready = [r for r in catalog.replicas(image.id) if r.status is ReplicaStatus.READY]
    if not ready:
        raise ImageNotFound(f"{image.id} on any image storage")
    return ready


def bring(
    catalog: "Catalog", settings: Settings, primary: PrimaryStorage, image: Image, account: str
) -> CachedFile:
    """Return the image's copy on the primary storage, downloaded if it is not there. Only under its lock.

    A replica that can't be read costs the attempt; where the image lies in the primary storage's own cluster, nothing moves.
    """
    if known := known_copy(catalog, primary, image.id):
        return known
    sources = [
        (open_image_storage(catalog.image_storage(r.image_storage), settings), r)
        for r in readable(catalog, image)
    ]
    sources.sort(key=lambda pair: not primary.shares(pair[0]))
    cached = _from_any(catalog, settings, primary, image, account, sources)
    moment = now()
    row = CachedImage(image_id=image.id, primary_storage=primary.name, location=cached.location,
                      size_bytes=cached.size_bytes, last_used_at=moment, created_at=moment)  # fmt: skip
    with catalog.changing(actor=account, run_id=run_id()) as change:
        change.save_cached_image(row, "imagewright.image.cached")
    return cached


def _from_any(
    catalog: "Catalog",
    settings: Settings,
    primary: PrimaryStorage,
    image: Image,
    account: str,
    sources: Sequence[tuple[ImageStorage, Replica]],
) -> CachedFile:
    *others, last = sources
    for source, replica in others:
        try:
            return _download(catalog, settings, primary, image, account, source, replica)
        except StorageError:
            continue
    return _download(catalog, settings, primary, image, account, *last)


def _download(
    catalog: "Catalog",
    settings: Settings,
    primary: PrimaryStorage,
    image: Image,
    account: str,
    source: ImageStorage,
    replica: Replica,
) -> CachedFile:
    with progress(key_of("cache", image.id, primary.name), f"bring {image.name} to {primary.name}") as meter:
        if primary.shares(source):  # no byte moves
            return primary.cache(source, image, replica, settings.scratch_folder, meter)
        with reader_of(source, image.id) as reader:
            needed = data_bytes(reader)
        lock, place = lock_of(image.id, primary.name), f"primary storage {primary.name}"
        free = primary.capacity().available_bytes
        with promised_room(catalog, account, lock, "", place, free, needed):
            return primary.cache(source, image, replica, settings.scratch_folder, meter)


@task(task_run_name="find what the cache of {primary_storage} can drop")
def drops(primary_storage: str, budget_bytes: int | None) -> tuple[Drop, ...]:
    """Return what to drop, in order; copies that the catalog does not know are dropped as well."""
    with open_resources() as (settings, catalog):
        primary = open_primary_storage(catalog.primary_storage(primary_storage), settings)
        cached = list(catalog.cached_images(primary_storage=primary_storage))
        known = {one.image_id for one in cached}
        used = {volume.image_id for volume in catalog.volumes(primary_storage=primary_storage)}
        gone = {one.image_id for one in cached if _is_gone(catalog, one.image_id)}
        strays = tuple(_strays(catalog, primary, known))
    return (*strays, *cache_to_drop(cached, used, gone, budget_bytes))


def _is_gone(catalog: "Reading", image_id: str) -> bool:
    try:
        catalog.image(image_id)
    except ImageNotFound:
        return True
    return False


def _strays(catalog: "Reading", primary: PrimaryStorage, known: set[str]) -> Iterator[Drop]:
    moment = now()
    for image_id in primary.cached_ids():
        if image_id not in known and catalog.lease(lock_of(image_id, primary.name)).holder is None:
            unknown = CachedImage(image_id=image_id, primary_storage=primary.name, location="", size_bytes=0,
                                  last_used_at=moment, created_at=moment)  # fmt: skip
            yield Drop(cached=unknown, reason="the catalog does not know this copy")


@task(task_run_name="drop cached images of {primary_storage}")
def drop(primary_storage: str, batch: Sequence[Drop], account: str) -> tuple[ItemOutcome, ...]:
    """Drop each under its lock; one that is being used meanwhile is kept, with the reason."""
    with open_resources() as (settings, catalog):
        primary = open_primary_storage(catalog.primary_storage(primary_storage), settings)
        return tuple(_drop(catalog, primary, one, account) for one in batch)


def _drop(catalog: "Catalog", primary: PrimaryStorage, one: Drop, account: str) -> ItemOutcome:
    image_id, subject = one.cached.image_id, f"cached_image:{one.cached.image_id}@{primary.name}"
    try:
        with in_turn(lock_of(image_id, primary.name), wait_s=0):
            users = [
                volume.name for volume in catalog.volumes(image_id=image_id, primary_storage=primary.name)
            ]
            if users:
                raise ReplicaInUse(image_id, primary.name, users)
            primary.evict(image_id)
            with catalog.changing(actor=account, run_id=run_id()) as change:
                change.remove_cached_image(image_id, primary.name, "imagewright.image.uncached")
    except (ImageBusy, ReplicaInUse) as error:
        return ItemOutcome(subject=subject, outcome="kept", reason=str(error))
    except StorageError as error:
        return ItemOutcome(subject=subject, outcome="failed", reason=str(error))
    return ItemOutcome(subject=subject, outcome="done", bytes=one.cached.size_bytes, reason=one.reason)


def plan_drops(primary_storage: str, planned: Sequence[Drop]) -> Plan:
    """Return what a cleaning would drop."""
    actions = tuple(
        Action(verb="drop cached image", subject=f"image:{one.cached.image_id}", bytes=one.cached.size_bytes,
               reason=one.reason)
        for one in planned
    )  # fmt: skip
    freed = sum(action.bytes for action in actions)
    return Plan(operation="clean image cache", actions=actions,
                summary=f"drop {len(actions)} cached images of {primary_storage}, {freed} bytes")  # fmt: skip

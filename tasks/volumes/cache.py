"""The image cache of a primary storage: each image is downloaded once, and unused copies are dropped."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImageBusy, ReplicaInUse, StorageElsewhere, StorageError
from catalog.log import events
from catalog.records import Action, CachedImage, Image, ItemOutcome, Plan, Replica
from catalog.rules.storages.cache import Drop, cache_to_drop
from catalog.settings import Settings
from catalog.store.ballast import freeing_room
from storage.protocols import CachedFile, ImageStorage, PrimaryStorage
from storage.replicas.source import held_bytes
from tasks.replicas.readable import from_any, readable
from tasks.runtime.locks import waiting_turn
from tasks.runtime.reserved_space import reserved_space
from tasks.runtime.resources import changing, known_image, open_image_storage, open_primary_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import key_of
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


def lock_of(image_id: str, primary_storage: str) -> str:
    """Return the lock under which an image's copy on a primary storage is made, used and dropped."""
    return f"cache:{image_id}@{primary_storage}"


def known_copy(catalog: "Reading", primary: PrimaryStorage, image_id: str) -> CachedFile | None:
    """Return the image's copy on the primary storage, None unless the catalog knows it and it is whole."""
    cached = catalog.cached_image(image_id, primary.name)
    return primary.holds(cached) if cached else None


def bring(catalog: "Catalog", settings: Settings, primary: PrimaryStorage, image: Image, account: str) -> CachedFile:
    """Return the image's copy on the primary storage, downloading it if it is missing. Call it only under its lock.

    A replica that can't be read is passed over. Nothing is copied if the image lies in the primary storage's own
    cluster.
    """
    if known := known_copy(catalog, primary, image.id):
        return known
    sources = _sources(catalog, settings, image)
    sources.sort(key=lambda pair: not primary.shares(pair[0]))
    cached = from_any(sources, lambda source: _download(catalog, settings, primary, image, account, *source))
    moment = catalog.now()
    row = CachedImage(
        image_id=image.id,
        primary_storage=primary.name,
        location=cached.location,
        size_bytes=cached.size_bytes,
        last_used_at=moment,
        created_at=moment,
    )
    with changing(catalog, account) as change:
        change.save_cached_image(row, events.IMAGE_CACHED)
    return cached


def _sources(catalog: "Catalog", settings: Settings, image: Image) -> list[tuple[ImageStorage, Replica]]:
    """Open the storages that the image can be read from. Raises StorageElsewhere if only other hosts reach them."""
    found: list[tuple[ImageStorage, Replica]] = []
    for replica in readable(catalog, image):
        try:
            found.append((open_image_storage(catalog.image_storage(replica.image_storage), settings), replica))
        except StorageElsewhere:
            if not found:  # storages that this host reaches come first
                raise
    return found


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
        if primary.shares(source):  # nothing is copied
            return primary.cache(source, image, replica, settings.scratch_folder, meter)
        needed = held_bytes(source, image.id)
        lock, place = lock_of(image.id, primary.name), f"primary storage {primary.name}"
        free = primary.capacity().available_bytes
        with reserved_space(catalog, account, lock, "", place, free, needed):
            return primary.cache(source, image, replica, settings.scratch_folder, meter)


@task(task_run_name="find what the cache of {primary_storage} can drop", **retrying())
def drops(primary_storage: str, budget_bytes: int | None) -> tuple[Drop, ...]:
    """Return the copies to drop, in order, including those that the catalog does not know."""
    with open_resources() as (settings, catalog):
        primary = open_primary_storage(catalog.primary_storage(primary_storage), settings)
        cached = list(catalog.cached_images(primary_storage=primary_storage))
        known = {one.image_id for one in cached}
        used = {volume.image_id for volume in catalog.volumes(primary_storage=primary_storage)}
        gone = {one.image_id for one in cached if known_image(catalog, one.image_id) is None}
        strays = tuple(_strays(catalog, primary, known))
    return (*strays, *cache_to_drop(cached, used, gone, budget_bytes))


def _strays(catalog: "Reading", primary: PrimaryStorage, known: set[str]) -> Iterator[Drop]:
    moment = catalog.now()
    for image_id in primary.cached_ids():
        if image_id not in known and catalog.lease(lock_of(image_id, primary.name)).holder is None:
            unknown = CachedImage(
                image_id=image_id,
                primary_storage=primary.name,
                location="",
                size_bytes=0,
                last_used_at=moment,
                created_at=moment,
            )
            yield Drop(cached=unknown, reason="the catalog does not know this copy")


@task(task_run_name="drop cached images of {primary_storage}", **retrying())
@freeing_room()
def drop(primary_storage: str, batch: Sequence[Drop], account: str) -> tuple[ItemOutcome, ...]:
    """Drop each copy under its lock; keep one that has come into use, with the reason."""
    with open_resources() as (settings, catalog):
        primary = open_primary_storage(catalog.primary_storage(primary_storage), settings)
        return tuple(_drop(catalog, primary, one, account) for one in batch)


def _drop(catalog: "Catalog", primary: PrimaryStorage, one: Drop, account: str) -> ItemOutcome:
    image_id, subject = one.cached.image_id, f"cached_image:{one.cached.image_id}@{primary.name}"
    try:
        with waiting_turn(lock_of(image_id, primary.name), wait_s=0):
            users = [volume.name for volume in catalog.volumes(image_id=image_id, primary_storage=primary.name)]
            if users:
                raise ReplicaInUse(image_id, primary.name, users, primary=True)
            primary.evict(image_id)
            with changing(catalog, account) as change:
                change.remove_cached_image(image_id, primary.name, events.IMAGE_UNCACHED)
    except (ImageBusy, ReplicaInUse) as error:
        return ItemOutcome(subject=subject, outcome="kept", reason=str(error))
    except StorageError as error:
        return ItemOutcome(subject=subject, outcome="failed", reason=str(error))
    return ItemOutcome(subject=subject, outcome="done", bytes=one.cached.size_bytes, reason=one.reason)


def plan_drops(primary_storage: str, planned: Sequence[Drop]) -> Plan:
    """Return what a clean-up would drop."""
    actions = tuple(
        Action(
            verb="drop cached image",
            subject=f"image:{one.cached.image_id}",
            bytes=one.cached.size_bytes,
            reason=one.reason,
        )
        for one in planned
    )
    freed = sum(action.bytes for action in actions)
    return Plan(
        operation="clean image cache",
        actions=actions,
        summary=f"drop {len(actions)} cached images of {primary_storage}, {freed} bytes",
    )

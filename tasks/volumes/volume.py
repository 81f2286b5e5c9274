"""Create volumes from images: each image is downloaded to the primary storage once, then each volume takes O(1)."""

from contextlib import suppress
from typing import TYPE_CHECKING

from catalog.errors import IllegalTransition, ImageNotFound, InvalidRequest, VolumeNotFound
from catalog.log import events
from catalog.records import Action, Image, Plan, Replica, Volume
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.naming import check_name
from catalog.rules.images.transitions import status_after
from catalog.rules.storages.kinds import PRIMARY_KINDS
from catalog.settings import Settings
from storage.protocols import CachedFile, PrimaryStorage
from tasks.replicas.readable import readable
from tasks.runtime.locks import waiting_turn
from tasks.runtime.resources import changing, open_image_storage, open_primary_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task
from tasks.volumes.cache import bring, known_copy, lock_of

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading

OPERATION = "create volume"


@task(task_run_name="create volume {name}", **retrying())
def create_volume(
    volume_id: str, image_id: str, primary_storage: str, name: str, size_bytes: int | None, account: str
) -> Volume:
    """Create a volume and return it; an existing one of this id is returned as it is.

    Concurrent requests for one image download it once. An ISO is not copied: the volume is the cached file, read-only.
    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch.
    """
    with open_resources() as (settings, catalog):
        with suppress(VolumeNotFound):
            return catalog.volume(volume_id)
        _checked(catalog, image_id, account, name, size_bytes)
        primary = open_primary_storage(catalog.primary_storage(primary_storage), settings)
        with waiting_turn(lock_of(image_id, primary_storage)):
            # checked again under the lock: sharing, state and bin hold at once for new uses
            image, size = _checked(catalog, image_id, account, name, size_bytes)
            cached = bring(catalog, settings, primary, image, account)
            return _make(
                catalog,
                primary,
                cached,
                Volume(
                    id=volume_id,
                    name=name,
                    image_id=image_id,
                    primary_storage=primary_storage,
                    location="",
                    backing=cached.location,
                    size_bytes=size,
                    owner=account,
                    created_at=catalog.now(),
                ),
            )


def _make(catalog: "Catalog", primary: PrimaryStorage, cached: CachedFile, draft: Volume) -> Volume:
    if catalog.image(draft.image_id).media == "ISO":
        volume = draft.model_copy(update={"location": cached.location})
    else:
        made = primary.clone(draft.id, cached, draft.size_bytes)
        volume = draft.model_copy(update=made.model_dump())
    try:
        _record(catalog, volume)
    except (
        ImageNotFound,
        IllegalTransition,
    ):  # deleted, disabled or unshared during the download
        if volume.location != volume.backing:
            primary.delete_volume(volume.location)
        raise
    return volume


def _record(catalog: "Catalog", volume: Volume) -> None:
    """Record the volume in the catalog, if in the same transaction its image may still be used."""
    with changing(catalog, volume.owner) as change:
        status_after(change.image(volume.image_id, account=volume.owner), OPERATION)
        change.save_volume(volume, events.VOLUME_CREATED)
        copy = change.cached_image(volume.image_id, volume.primary_storage)
        if copy is not None:
            change.save_cached_image(copy.model_copy(update={"last_used_at": change.now()}))


def _checked(catalog: "Reading", image_id: str, account: str, name: str, size_bytes: int | None) -> tuple[Image, int]:
    """Check the request; return the image and the volume's size in bytes."""
    check_name(name)
    image = catalog.image(image_id, account=account)
    status_after(image, OPERATION)
    least = image.virtual_size_bytes or image.size_bytes or 0
    if size_bytes is not None and (size_bytes < least or (image.media == "ISO" and size_bytes != least)):
        allowed = (
            f"{least}, the size of the ISO" if image.media == "ISO" else f"at least {least}, the image's virtual size"
        )
        raise InvalidRequest("size_bytes", size_bytes, allowed)
    return image, size_bytes or least


@task(task_run_name="plan volume {name}", **retrying())
def plan_volume(image_id: str, primary_storage: str, name: str, size_bytes: int | None, account: str) -> Plan:
    """Return whether the image would be downloaded, and the volume that would be created. Changes nothing."""
    with open_resources() as (settings, catalog):
        image, size = _checked(catalog, image_id, account, name, size_bytes)
        record = catalog.primary_storage(primary_storage)
        primary = open_primary_storage(record, settings)
        cached = known_copy(catalog, primary, image_id)
        replica = readable(catalog, image)[0]
        actions = _download(settings, catalog, primary, cached, replica)
    made = Action(
        verb=f"make {PRIMARY_KINDS[record.kind].volume}",
        subject=f"volume:{name}",
        reason=f"of {size} bytes, over the cached image",
    )
    moved = sum(action.bytes for action in actions)
    there = cached.size_bytes if cached else 0
    return Plan(
        operation=OPERATION,
        actions=(*actions, made),
        bytes_to_move=moved,
        bytes_already_there=there,
        summary=f"make {name} on {primary_storage} from {image.name}",
    )


def _download(
    settings: Settings,
    catalog: "Reading",
    primary: PrimaryStorage,
    cached: CachedFile | None,
    replica: Replica,
) -> tuple[Action, ...]:
    if cached is not None:
        return ()
    source = open_image_storage(catalog.image_storage(replica.image_storage), settings)
    if primary.shares(source):
        return ()
    room = primary.capacity().available_bytes
    return (
        Action(verb="download", subject=f"image:{replica.image_id}", bytes=replica.size_bytes,
               reason=f"from {source.name}; {room} bytes are free on {primary.name}"),
    )  # fmt: skip


@task(task_run_name="delete volume {volume_id}", **retrying())
def delete_volume(volume_id: str, account: str) -> Volume:
    """Delete a volume and return its last record; the cached image stays. Raises VolumeNotFound, AccessDenied."""
    with open_resources() as (settings, catalog):
        volume = owned_volume(catalog, volume_id, account)
        if volume.location != volume.backing:
            record = catalog.primary_storage(volume.primary_storage)
            open_primary_storage(record, settings).delete_volume(volume.location)
        with changing(catalog, account) as change:
            change.remove_volume(volume_id, events.VOLUME_DELETED)
    return volume


@task(task_run_name="plan to delete volume {volume_id}", **retrying())
def plan_delete_volume(volume_id: str, account: str) -> Plan:
    """Return what would be deleted. Changes nothing."""
    with open_resources() as (_, catalog):
        volume = owned_volume(catalog, volume_id, account)
    action = Action(verb="delete volume", subject=f"volume:{volume_id}", reason=volume.location)
    return Plan(operation="delete volume", actions=(action,), summary=f"delete {volume.name}")


def owned_volume(catalog: "Reading", volume_id: str, account: str) -> Volume:
    """Return a volume that the account may delete. Raises VolumeNotFound, also for another account's volume."""
    volume = catalog.volume(volume_id)
    if account not in (ADMIN, volume.owner):
        raise VolumeNotFound(volume_id)
    return volume

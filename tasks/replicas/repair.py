"""Repair damage found on a storage from another replica; mark the replica Damaged if that fails."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.log import events
from catalog.records import Image, ImageStatus, ItemOutcome, Replica, ReplicaStatus
from catalog.rules.images.transitions import status_after
from catalog.settings import Settings
from storage.abilities import Provable, put_in_place
from storage.protocols import ImageStorage
from storage.replicas.copy import copy_replica
from storage.replicas.source import reader_of
from tasks.replicas.readable import whole_replicas
from tasks.runtime.locks import image_lock
from tasks.runtime.resources import changing, open_image_storage
from tasks.runtime.runs.notify import emit

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change

LOST = "no whole replica is left"


def donors(catalog: "Catalog", settings: Settings, replica: Replica) -> Iterator[tuple[ImageStorage, Replica]]:
    """Yield the storages of other Ready replicas of the same image, passing over those that can't be opened."""
    for other in whole_replicas(catalog, replica.image_id):
        if other.image_storage != replica.image_storage:
            try:
                yield open_image_storage(catalog.image_storage(other.image_storage), settings), other
            except ImagewrightError:
                continue


def repair_piece(
    catalog: "Catalog", settings: Settings, storage: Provable, replica: Replica, piece: ItemOutcome
) -> str | None:
    """Replace one damaged piece by a good copy; return the storage it came from, None if no storage has it.

    piece: subject `IMAGE_ID@OFFSET`, bytes its length. Each copy is proven before it is used.
    """
    offset = int(piece.subject.rpartition("@")[2])
    for donor, other in donors(catalog, settings, replica):
        if other.format != replica.format or other.size_bytes != replica.size_bytes:
            continue
        try:
            storage.repair_object(replica.image_id, offset, _read(donor, other.image_id, offset, piece.bytes))
        except ImagewrightError:
            continue  # damaged or gone there as well: try the next one
        return donor.name
    return None


def rebuild(catalog: "Catalog", settings: Settings, storage: ImageStorage, replica: Replica) -> str | None:
    """Rebuild a replica from another one; return the storage it came from, None if no storage has a whole one.

    The copy is landed and proven before the damaged one is deleted.
    Raises ImageNotFound, ImageBusy, ReplicaInUse, CapacityExceeded.
    """
    landing_id = f"{replica.image_id}.repair"
    with image_lock(replica.image_id) as lease:
        catalog.replica(replica.image_id, replica.image_storage)  # its image may have been moved or deleted meanwhile
        for donor, other in donors(catalog, settings, replica):
            try:
                copied = copy_replica(donor, storage, other, landing_id, scratch=settings.scratch_folder)
            except ImageNotFound:
                continue
            image = catalog.image(replica.image_id)
            as_stored = image.model_copy(update={"format_stored": copied.format})
            fresh = put_in_place(storage, landing_id, as_stored, copied.digests)
            with changing(catalog, "system", lease) as change:
                change.save_replica(fresh.model_copy(update={"created_at": replica.created_at}))
            return donor.name
    return None


def note_damage(catalog: "Catalog", replica: Replica, sentence: str) -> None:
    """Mark a replica Damaged; take the image out of use if it has no whole replica left."""
    with changing(catalog, "system") as change:
        known = change.replica(replica.image_id, replica.image_storage)
        damaged = known.model_copy(update={"status": ReplicaStatus.DAMAGED, "error": sentence})
        change.save_replica(damaged, event=events.REPLICA_DAMAGED)
        image = refresh_image_status(change, change.image(replica.image_id))
    emit(events.REPLICA_DAMAGED, image, image_storage=replica.image_storage, error=sentence)


def note_repair(catalog: "Catalog", replica: Replica, sentence: str) -> None:
    """Mark a replica, and with it the image, Ready again."""
    with changing(catalog, "system") as change:
        known = change.replica(replica.image_id, replica.image_storage)
        whole = known.model_copy(update={"status": ReplicaStatus.READY, "error": None})
        change.save_replica(whole, event=events.REPLICA_REPAIRED)
        change.record(events.REPLICA_REPAIRED, f"image:{replica.image_id}", after=_told(replica, sentence))
        image = refresh_image_status(change, change.image(replica.image_id))
    emit(events.REPLICA_REPAIRED, image, image_storage=replica.image_storage, how=sentence)


def refresh_image_status(change: "Change", image: Image) -> Image:
    """Take an image out of use if its last whole replica is lost, and back into use if it has one again."""
    whole = whole_replicas(change, image.id)
    if not whole and image.status is ImageStatus.READY:
        lost = {"status": status_after(image, "quarantine"), "error": f"{LOST}: {_reasons(change, image)}"}
        return change.save_image(image.model_copy(update=lost), event=events.IMAGE_DAMAGED)
    if whole and image.status is ImageStatus.ERROR and (image.error or "").startswith(LOST):
        healed = {"status": status_after(image, "heal"), "error": None}
        return change.save_image(image.model_copy(update=healed), event=events.IMAGE_HEALED)
    return image


def _reasons(change: "Change", image: Image) -> str:
    found = [f"on {r.image_storage}: {r.error}" for r in change.replicas(image.id) if r.error]
    return "; ".join(found) or "it is on no storage"


def _told(replica: Replica, sentence: str) -> ItemOutcome:
    return ItemOutcome(subject=f"replica on {replica.image_storage}", outcome="done", reason=sentence)


def _read(storage: ImageStorage, image_id: str, offset: int, size: int) -> bytes:
    with reader_of(storage, image_id) as reader:
        return reader.read_at(offset, size)


def in_words(pieces: Sequence[ItemOutcome]) -> str:
    """Describe damaged pieces in one sentence: their number, and offset and damage of the first one."""
    first = pieces[0]
    return f"{len(pieces)} damaged pieces, the first at byte {first.subject.rpartition('@')[2]}: {first.reason}"

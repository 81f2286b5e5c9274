"""Changing the storage of an image: what is refused, and the steps that never leave it unreadable."""

from catalog.errors import CapacityExceeded, InvalidRequest, StorageRefused, StorageUnavailable
from catalog.history import Snapshot
from catalog.plan.parts import image_in, replica_in, storage_in, those
from catalog.records import Action, ImageStorage, Leftover, Plan, Replica, ReplicaStatus
from catalog.rules.transitions import status_after

OPERATION = "change image storage"


def plan_move(
    snapshot: Snapshot, image_id: str, source: str, target: str, available_bytes: int | None = None
) -> Plan:
    """Return the steps of a move.

    available_bytes: room on the target after its reserve; None: not known.
    Raises ImageNotFound, StorageNotFound, IllegalTransition (not Ready), InvalidRequest (same storage, no replica on
    the source, replica or leftover on the target), StorageRefused (disabled), StorageUnavailable, CapacityExceeded.
    """
    image = image_in(snapshot, image_id)
    if source == target:
        raise InvalidRequest("target", target, "name another image storage than the source")
    for name in (source, target):
        _require_usable(storage_in(snapshot, name))
    status_after(image, OPERATION)
    replica = _source_replica(snapshot, image_id, source)
    _require_free(snapshot, image_id, target)
    if available_bytes is not None and replica.size_bytes > available_bytes:
        raise CapacityExceeded(target, replica.size_bytes, available_bytes)
    subject, size = f"image:{image_id}", replica.size_bytes
    actions = (
        Action(verb="copy", subject=subject, bytes=size, reason=f"from {source} to {target}"),
        Action(
            verb="read back", subject=subject, bytes=size, reason="size and digests must be the catalog's"
        ),
        Action(verb="switch", subject=subject, reason=f"{target} becomes its storage in one transaction"),
        Action(
            verb="keep leftover",
            subject=f"replica:{image_id}@{source}",
            bytes=size,
            reason="the raw data stays on the source until it is cleaned up",
        ),
    )
    summary = f"move {image.name} from {source} to {target}"
    return Plan(operation=OPERATION, actions=actions, bytes_to_move=size, summary=summary)


def _require_usable(storage: ImageStorage) -> None:
    if storage.state == "Disabled":
        raise StorageRefused(storage.name, "it is disabled; enable it first")
    if storage.connection == "Disconnected":
        raise StorageUnavailable(storage.name, "it is disconnected")


def _source_replica(snapshot: Snapshot, image_id: str, source: str) -> Replica:
    replica = replica_in(snapshot, image_id, source)
    if replica is None or replica.status is not ReplicaStatus.READY:
        raise InvalidRequest("source", source, f"name a storage that holds image {image_id} whole")
    return replica


def _require_free(snapshot: Snapshot, image_id: str, target: str) -> None:
    if replica_in(snapshot, image_id, target) is not None:
        raise InvalidRequest("target", target, f"name a storage that has no replica of image {image_id} yet")
    for leftover in those(snapshot, Leftover):
        if (leftover.image_id, leftover.image_storage) == (image_id, target):
            allowed = f"leftover {leftover.id} of the image is there; clean it up first"
            raise InvalidRequest("target", target, allowed)

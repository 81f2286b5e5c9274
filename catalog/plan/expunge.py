"""Expunging images, by hand or because their retention is over."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from catalog.history import Snapshot
from catalog.plan.parts import by, image_in, those
from catalog.records import Action, ExportedImage, Image, ImageStatus, Leftover, Plan, Replica
from catalog.rules.retention import Retention, due_for_expunge
from catalog.rules.transitions import status_after


def plan_expunge(snapshot: Snapshot, image_ids: Iterable[str]) -> Plan:
    """Return what goes with each image: exports, replicas, leftovers, then the record.

    Raises ImageNotFound, IllegalTransition (not in the recycle bin).
    """
    images = [image_in(snapshot, image_id) for image_id in image_ids]
    for image in images:
        status_after(image, "expunge")
    return _plan("expunge", snapshot, images)


def plan_purge(snapshot: Snapshot, now: datetime, retention: Retention, own: Mapping[str, Retention]) -> Plan:
    """Return what goes because its retention is over. own: account → what it has of its own."""
    binned = those(snapshot, Image, lambda image: image.status is ImageStatus.DELETED)
    due = [image for image in binned if due_for_expunge(image, now, own.get(image.owner, retention))]
    return _plan("purge recycle bin", snapshot, due)


def _plan(operation: str, snapshot: Snapshot, images: list[Image]) -> Plan:
    ids = {image.id for image in images}  # the rest is looked at once and neither sorted nor kept
    exports = by("image_id", those(snapshot, ExportedImage, lambda e: e.image_id in ids))
    replicas = by("image_id", those(snapshot, Replica, lambda r: r.image_id in ids))
    leftovers = by("image_id", those(snapshot, Leftover, lambda left: left.image_id in ids))
    actions = tuple(
        action
        for image in images
        for action in _of_one(
            image, exports.get(image.id, ()), replicas.get(image.id, ()), leftovers.get(image.id, ())
        )
    )
    freed = sum(action.bytes for action in actions)
    summary = f"expunge {len(images)} images, {freed} bytes at most; chips that others share stay"
    return Plan(operation=operation, actions=actions, summary=summary)


def _of_one(
    image: Image,
    exports: tuple[ExportedImage, ...],
    replicas: tuple[Replica, ...],
    leftovers: tuple[Leftover, ...],
) -> Iterator[Action]:
    for export in exports:
        yield Action(verb="delete export", subject=f"export:{export.id}", bytes=export.size_bytes)
    for replica in replicas:
        subject = f"replica:{image.id}@{replica.image_storage}"
        yield Action(verb="delete replica", subject=subject, bytes=replica.stored_bytes)
    for leftover in leftovers:
        yield Action(verb="delete leftover", subject=f"leftover:{leftover.id}", bytes=leftover.size_bytes)
    yield Action(verb="remove record", subject=f"image:{image.id}", reason="the event log keeps it")

"""Reclamation of what deaths left in a pool: abandoned landings, interrupted deletions, RBD's trash."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC
from typing import Literal, NamedTuple

from catalog.errors import ImageBusy, ReplicaInUse
from catalog.records import ItemOutcome, ReclaimReport
from catalog.units import utc_now
from storage.ceph.client.bindings import RbdImage, Trashed
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import LANDING, PUBLISHED, image_id_of, landing_id_of
from storage.ceph.rbd_images import has_snapshot, opened, remove, remove_trashed

WRITER = "a writer is at work on it"


class Orphan(NamedTuple):
    """An image that nothing needs; `busy` says why it can't be removed yet, if so."""

    subject: str
    reason: str
    size_bytes: int
    remove: Callable[[], None]
    busy: str = ""


def reclaim(connection: Connection, keep_landings: AbstractSet[str] | None, *, plan_only: bool) -> ReclaimReport:
    """Free what no image and no landing needs (see the protocol).

    Images open for writing are left alone, whatever the catalog says: RBD knows its writers, until 30 s after their
    death.
    """
    items = [_outcome(orphan, plan_only=plan_only) for orphan in list(_orphans(connection, keep_landings))]
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return ReclaimReport(image_storage=connection.storage, items=tuple(items), bytes_freed=freed)


def _orphans(connection: Connection, keep_landings: AbstractSet[str] | None) -> Iterator[Orphan]:
    with translated(connection.storage, "listing the pool"):
        names = sorted(connection.rbd.list(connection.pool))
        trash = list(connection.rbd.trash_list(connection.pool))
    for name in names:
        found = _orphan(connection, name, keep_landings)
        if found is not None:
            yield found
    for entry in trash:
        if entry["name"].startswith((LANDING, PUBLISHED)) and _is_due(entry):
            yield _trashed(connection, entry)


def _orphan(connection: Connection, name: str, keep_landings: AbstractSet[str] | None) -> Orphan | None:
    """Return an image of ours that nothing needs. A published one without its snapshot is, or was, being deleted."""
    if name.startswith(LANDING):
        if keep_landings is None or landing_id_of(name) in keep_landings:
            return None
        subject, reason = f"landing {landing_id_of(name)}", "nobody goes on with it"
    elif name.startswith(PUBLISHED):
        subject, reason = f"image {image_id_of(name)}", "its deletion broke off"
    else:
        return None
    with opened(connection, name) as image, translated(connection.storage, "looking at what is left"):
        if image is None or (name.startswith(PUBLISHED) and has_snapshot(image)):
            return None
        busy = WRITER if list(image.watchers_list()) else ""
        return Orphan(subject, reason, _used(image), lambda: remove(connection, name, subject), busy)


def _used(image: RbdImage) -> int:
    """Return the bytes of the existing objects, from the object map."""
    lengths: list[int] = []
    image.diff_iterate(
        0,
        image.size(),
        None,
        lambda _offset, length, exists: lengths.append(length if exists else 0),
        include_parent=False,
        whole_object=True,
    )
    return sum(lengths)


def _is_due(entry: Trashed) -> bool:
    return entry["deferment_end_time"].replace(tzinfo=UTC) <= utc_now()


def _trashed(connection: Connection, entry: Trashed) -> Orphan:
    """Describe an image in RBD's trash: a death in the middle of a deletion leaves it there, hidden from listings."""
    subject, reason = f"trash {entry['name']}", "its deletion broke off"
    return Orphan(subject, reason, 0, lambda: remove_trashed(connection, entry))


def _outcome(orphan: Orphan, *, plan_only: bool) -> ItemOutcome:
    if orphan.busy:
        return _item(orphan, "pending", orphan.busy)
    if plan_only:
        return _item(orphan, "done", orphan.reason)
    try:
        orphan.remove()
    except (ReplicaInUse, ImageBusy) as kept:
        return _item(orphan, "kept", str(kept))
    return _item(orphan, "done", orphan.reason)


def _item(orphan: Orphan, outcome: Literal["done", "kept", "pending"], reason: str) -> ItemOutcome:
    return ItemOutcome(subject=orphan.subject, outcome=outcome, bytes=orphan.size_bytes, reason=reason)

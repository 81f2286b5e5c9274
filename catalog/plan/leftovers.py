"""Cleaning up leftovers: which may go, and why the others stay."""

from collections.abc import Iterable, Mapping

from catalog.errors import LeftoverNotFound
from catalog.history import Snapshot
from catalog.plan.parts import by, replica_in, those
from catalog.records import Action, Leftover, Plan, ReplicaStatus, Volume

NOBODY: Mapping[str, str] = {}


def plan_leftovers(
    snapshot: Snapshot,
    leftover_ids: Iterable[str] = (),
    image_storage: str | None = None,
    used_by: Mapping[str, str] = NOBODY,
) -> Plan:
    """Return which leftovers are deleted and which are kept, with the reason; without ids all (of a storage).

    used_by: leftover id → what the storage itself says lives on it, e.g. clones. Raises LeftoverNotFound.
    """
    known = {leftover.id: leftover for leftover in those(snapshot, Leftover)}
    asked = [_known(known, leftover_id) for leftover_id in leftover_ids] or list(known.values())
    chosen = [one for one in asked if image_storage in (None, one.image_storage)]
    volumes = by("image_id", those(snapshot, Volume))
    actions = tuple(
        _judge(snapshot, one, used_by.get(one.id), volumes.get(one.image_id, ())) for one in chosen
    )
    gone = [action for action in actions if action.verb == "delete leftover"]
    freed = sum(action.bytes for action in gone)
    summary = f"delete {len(gone)} leftovers ({freed} bytes), keep {len(actions) - len(gone)}"
    return Plan(operation="clean up leftovers", actions=actions, summary=summary)


def _known(leftovers: Mapping[str, Leftover], leftover_id: str) -> Leftover:
    if leftover_id not in leftovers:
        raise LeftoverNotFound(leftover_id)
    return leftovers[leftover_id]


def _judge(
    snapshot: Snapshot, leftover: Leftover, used_by: str | None, volumes: tuple[Volume, ...]
) -> Action:
    reason = used_by or _in_the_way(snapshot, leftover, volumes)
    subject = f"leftover:{leftover.id}"
    if reason:
        return Action(verb="keep", subject=subject, reason=reason)
    where = f"{leftover.location} on {leftover.image_storage}"
    return Action(
        verb="delete leftover",
        subject=subject,
        bytes=leftover.size_bytes,
        reason=f"{where}; the image moved to {leftover.moved_to}, which is read and proven again first",
    )


def _in_the_way(snapshot: Snapshot, leftover: Leftover, volumes: tuple[Volume, ...]) -> str:
    image_id, there = leftover.image_id, leftover.image_storage
    if replica_in(snapshot, image_id, there) is not None:
        return f"a live replica of image {image_id} is on {there}"
    for volume in volumes:
        if leftover.location in volume.backing:
            return f"volume {volume.name} ({volume.id}) is made from it"
    if f"image:{image_id}" not in snapshot:
        return ""  # expunged since: nobody wants its data any more
    moved = replica_in(snapshot, image_id, leftover.moved_to)
    if moved is None or moved.status is not ReplicaStatus.READY:
        return f"image {image_id} is not whole on {leftover.moved_to}"
    return ""

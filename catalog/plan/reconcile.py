"""Catalog and storages compared, both ways.

| found | not found | action |
|---|---|---|
| catalog: replica | storage: image | repair it from another replica, else mark it damaged |
| storage: image | catalog: replica, its image is known | adopt replica; while a run works on the image: keep |
| storage: image | catalog: image | adopt image; if the log says it was expunged: delete orphan |
| storage: landing | catalog: image on its way | discard landing |
| catalog: export | storage: its file | forget export |
| storage: file among exports | catalog: export | delete stray export |
| catalog: leftover | storage: its data | forget leftover |
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyrsistent import PMap, PSet, pmap, pset

from catalog.history import Snapshot
from catalog.plan.parts import by, replica_in, those
from catalog.records import Action, ExportedImage, Image, ImageStatus, Leftover, Plan, Replica, ReplicaStatus

NONE: PSet[str] = pset()
ARRIVING = (ImageStatus.CREATING, ImageStatus.DOWNLOADING, ImageStatus.ERROR, ImageStatus.MIGRATING)


@dataclass(frozen=True)
class Inventory:
    """What one storage says it holds."""

    image_storage: str
    replicas: PMap[str, int] = field(default_factory=pmap)  # image id → bytes
    landings: PMap[str, int] = field(default_factory=pmap)  # landing id → bytes; begins with the image id
    exports: PMap[str, int] | None = None  # path → bytes; None: this storage was not asked


@dataclass(frozen=True)
class _Known:
    """What the catalog says, grouped once."""

    snapshot: Snapshot
    expunged: PSet[str]
    replicas: Mapping[str, tuple[Replica, ...]]  # by image
    here: Mapping[str, tuple[Replica, ...]]  # by storage
    exports: Mapping[str, tuple[ExportedImage, ...]]  # by storage
    leftovers: Mapping[str, tuple[Leftover, ...]]  # by storage


def plan_reconcile(snapshot: Snapshot, inventories: Iterable[Inventory], expunged: PSet[str] = NONE) -> Plan:
    """Return what brings catalog and storages together again.

    Storages without an inventory (disconnected) are left alone. expunged: ids of images the event log knows as gone.
    """
    known = _known(snapshot, expunged)
    checks = (_missing_replicas, _unknown_images, _stray_landings, _exports, _leftovers)
    actions = tuple(
        action for inventory in inventories for check in checks for action in check(known, inventory)
    )
    summary = f"{len(actions)} differences" if actions else "catalog and storages agree"
    moved = sum(a.bytes for a in actions if a.verb == "repair replica")
    return Plan(operation="reconcile", actions=actions, bytes_to_move=moved, summary=summary)


def _known(snapshot: Snapshot, expunged: PSet[str]) -> _Known:
    replicas = tuple(those(snapshot, Replica))
    return _Known(
        snapshot=snapshot,
        expunged=expunged,
        replicas=by("image_id", replicas),
        here=by("image_storage", replicas),
        exports=by("image_storage", those(snapshot, ExportedImage)),
        leftovers=by("image_storage", those(snapshot, Leftover)),
    )


def _missing_replicas(known: _Known, inventory: Inventory) -> Iterator[Action]:
    here = inventory.image_storage
    for replica in known.here.get(here, ()):
        if replica.image_id in inventory.replicas:
            continue
        if replica.status is ReplicaStatus.DELETING:
            subject = f"replica:{replica.image_id}@{here}"
            yield Action(verb="forget replica", subject=subject, reason="it was being deleted, and is gone")
        elif replica.status is ReplicaStatus.READY:
            yield _repair(replica, known.replicas[replica.image_id])


def _repair(replica: Replica, all_of_image: tuple[Replica, ...]) -> Action:
    here = replica.image_storage
    subject = f"replica:{replica.image_id}@{here}"
    others = [r for r in all_of_image if r.status is ReplicaStatus.READY and r.image_storage != here]
    if others:
        reason = f"missing from {here}; copied again from {others[0].image_storage}"
        return Action(verb="repair replica", subject=subject, bytes=replica.size_bytes, reason=reason)
    reason = f"missing from {here}, and there is no other replica"
    return Action(verb="mark damaged", subject=subject, reason=reason)


def _unknown_images(known: _Known, inventory: Inventory) -> Iterator[Action]:
    here = inventory.image_storage
    moved_away = {leftover.image_id for leftover in known.leftovers.get(here, ())}
    for image_id, size in sorted(inventory.replicas.items()):
        if replica_in(known.snapshot, image_id, here) is None and image_id not in moved_away:
            verb, reason = _what_to_do(known, image_id)
            yield Action(verb=verb, subject=f"replica:{image_id}@{here}", bytes=size, reason=reason)


def _what_to_do(known: _Known, image_id: str) -> tuple[str, str]:
    image = known.snapshot.get(f"image:{image_id}")
    if isinstance(image, Image) and image.status in ARRIVING:
        return "keep", f"its image is {image.status}; the run that works on it decides"
    if image is not None:
        return "adopt replica", "its image is known, the replica is not"
    if image_id in known.expunged:
        return "delete orphan", "its image was expunged"
    return "adopt image", "the storage describes an image that the catalog does not know"


def _stray_landings(known: _Known, inventory: Inventory) -> Iterator[Action]:
    for landing_id, size in sorted(inventory.landings.items()):
        image = known.snapshot.get(f"image:{landing_id.partition('.')[0]}")
        status = image.status if isinstance(image, Image) else "unknown"
        if status not in ARRIVING:
            reason = f"nothing is on its way there: its image is {status}"
            subject = f"landing:{landing_id}@{inventory.image_storage}"
            yield Action(verb="discard landing", subject=subject, bytes=size, reason=reason)


def _exports(known: _Known, inventory: Inventory) -> Iterator[Action]:
    if inventory.exports is None:
        return
    recorded = {export.path: export for export in known.exports.get(inventory.image_storage, ())}
    for path, export in sorted(recorded.items()):
        if path not in inventory.exports:
            yield Action(verb="forget export", subject=f"export:{export.id}", reason=f"{path} is gone")
    for path, size in sorted(inventory.exports.items()):
        if path not in recorded:
            reason = "no exported image names it"
            yield Action(verb="delete stray export", subject=f"file:{path}", bytes=size, reason=reason)


def _leftovers(known: _Known, inventory: Inventory) -> Iterator[Action]:
    # a leftover is the replica of old: the storage lists it among its images
    for leftover in known.leftovers.get(inventory.image_storage, ()):
        if leftover.image_id not in inventory.replicas:
            reason = f"{leftover.location} is gone from {leftover.image_storage}"
            yield Action(verb="forget leftover", subject=f"leftover:{leftover.id}", reason=reason)

"""Differences between catalog and storages, both ways, and the correction of each. Pure: snapshots in, drifts out.

| catalog says | storage says | corrected by |
|---|---|---|
| replica | not there, or its description is damaged | `restore replica` from another one, else marked Damaged |
| replica, Landing or Deleting | not there, nobody at work | `forget replica` |
| replica | there, with other digests | `distrust replica`: marked Damaged, made anew by the next verification |
| image, no replica here | there, with the image's digests | `adopt replica` |
| image, no replica here | there, with other digests | `leave`: nobody can say which is right |
| image that was expunged | there | `delete replica` |
| nothing | there | `adopt image` |
| nothing | there, its description is damaged | `leave`: its origin is unknown |
| leftover | not there | `forget leftover` |
| nothing | abandoned landing | `discard landing` |
| export | no file | `forget export` |
| no export | file below the exports folder | `delete export file` |
| image Migrating | nobody at work on it | `end move`: Ready where it was |
| image Ready | on no storage at all | `mark lost` |
| nothing | any other object is damaged or missing | `repair store`: rebuilt from the data it derives from |
| Connected / Disconnected | does not answer / answers | `set connection`; nothing else is concluded |
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from pyrsistent import PMap

from catalog.records import (
    Action,
    ExportedImage,
    Image,
    ImageStatus,
    ImageStorage,
    Leftover,
    Record,
    Replica,
    ReplicaStatus,
)

Verb = Literal[
    "restore replica", "forget replica", "distrust replica", "adopt replica", "adopt image", "delete replica", "leave",
    "forget leftover", "discard landing", "forget export", "delete export file", "end move", "mark lost", "set connection",
    "repair store",
]  # fmt: skip


class Drift(Record):
    """One difference. subject: id of an image, landing, leftover or export, or a file, depending on the verb."""

    verb: Verb
    subject: str
    image_storage: str = ""
    bytes: int = 0
    reason: str = ""


class Held(Record):
    """A published replica as its storage describes it; None if the description is damaged.

    damage: of the description, or the known loss of bytes.
    """

    image_id: str
    image: Image | None = None
    replica: Replica | None = None
    damage: str = ""


class Broken(Record):
    """Damaged objects of a storage other than replicas. cure: the correction."""

    subject: str
    damage: str
    cure: str


class Inventory(Record):
    """The contents of one storage. unreachable: why it did not answer; then nothing else is known."""

    image_storage: str
    held: tuple[Held, ...] = ()
    landings: tuple[str, ...] = ()  # abandoned ones
    broken: tuple[Broken, ...] = ()
    unreachable: str = ""


@dataclass(frozen=True)
class Known:
    """The catalog's view of one storage. busy: images that somebody works on; gone: images that were expunged."""

    storage: ImageStorage
    replicas: PMap[str, Replica]  # by image id
    leftovers: PMap[str, Leftover]  # by image id
    images: PMap[str, Image]  # those that the storage or the catalog has here
    busy: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def storage_drift(known: Known, found: Inventory) -> tuple[Drift, ...]:
    """Return the differences between the catalog and one storage; images that somebody works on are skipped."""
    if found.unreachable:
        return tuple(_connection(known.storage, "Disconnected", found.unreachable))
    held = {one.image_id: one for one in found.held}
    drifts = [*_connection(known.storage, "Connected", "it answers")]
    drifts += [  # before replicas are restored, which needs to know what is lost
        Drift(
            verb="repair store",
            subject=b.subject,
            image_storage=known.storage.name,
            reason=f"{b.damage}; {b.cure}",
        )
        for b in found.broken
    ]
    drifts += _replicas(known, held)
    drifts += _unlisted(known, held)
    drifts += _leftovers(known, held)
    reason = "nobody goes on with it"
    name = known.storage.name
    drifts += [Drift(verb="discard landing", subject=i, image_storage=name, reason=reason) for i in found.landings]
    return tuple(drifts)


def image_drift(images: Iterable[Image], placed: AbstractSet[str], busy: AbstractSet[str]) -> tuple[Drift, ...]:
    """Return the drifts of images themselves. placed: ids that have any replica row, or are about to get one."""
    drifts = []
    for image in images:
        if image.id in busy:
            continue
        if image.status is ImageStatus.MIGRATING:
            drifts.append(Drift(verb="end move", subject=image.id, reason="the run that moved it is gone"))
        elif image.status is ImageStatus.READY and image.id not in placed:
            drifts.append(Drift(verb="mark lost", subject=image.id, reason="no storage holds it"))
    return tuple(drifts)


def export_drift(exports: Iterable[ExportedImage], files: AbstractSet[str], roots: str) -> tuple[Drift, ...]:
    """Return the differences between exports and files.

    files: existing paths; roots: folder whose files are exports.
    """
    known = {export.path: export for export in exports}
    missing = [
        Drift(verb="forget export", subject=export.id, reason=f"its file {path} is gone")
        for path, export in known.items()
        if path.startswith(roots) and path not in files
    ]
    reason = "no export of the catalog is this file"
    extra = [Drift(verb="delete export file", subject=path, reason=reason) for path in sorted(files - known.keys())]
    return (*missing, *extra)


def actions_of(drifts: Iterable[Drift]) -> tuple[Action, ...]:
    """Return the actions of a plan for drifts."""
    return tuple(
        Action(
            verb=d.verb,
            subject=f"{d.subject}@{d.image_storage}" if d.image_storage else d.subject,
            bytes=d.bytes,
            reason=d.reason,
        )
        for d in drifts
    )


def _connection(storage: ImageStorage, now: str, reason: str) -> Iterator[Drift]:
    if storage.connection != now:
        yield Drift(verb="set connection", subject=now, image_storage=storage.name, reason=reason)


def _replicas(known: Known, held: dict[str, Held]) -> Iterator[Drift]:
    for image_id, replica in sorted(known.replicas.items()):
        if image_id in known.busy:
            continue
        drift = _replica(replica, held.get(image_id))
        if drift is not None:
            yield drift


def _replica(row: Replica, held: Held | None) -> Drift | None:
    place = {"subject": row.image_id, "image_storage": row.image_storage, "bytes": row.size_bytes}
    under_way = row.status in (ReplicaStatus.LANDING, ReplicaStatus.DELETING)
    if held is None and under_way:
        return Drift.model_validate(
            {**place, "verb": "forget replica", "reason": f"{row.status} for good: nobody works on it"}
        )
    if held is None or held.replica is None or held.damage:
        reason = "the storage does not hold it" if held is None else held.damage
        return Drift.model_validate({**place, "verb": "restore replica", "reason": reason})
    if row.status is ReplicaStatus.READY and not same_bytes(row, held.replica):
        reason = f"the storage holds sha256:{held.replica.sha256}, the catalog says sha256:{row.sha256}"
        return Drift.model_validate({**place, "verb": "distrust replica", "reason": reason})
    return None


def same_bytes(row: Replica, held: Replica) -> bool:
    """Tell whether two descriptions match the same file, as far as both were measured."""
    if row.size_bytes != held.size_bytes or row.format != held.format:
        return False
    return row.sha256 is None or held.sha256 is None or row.sha256 == held.sha256


def _unlisted(known: Known, held: dict[str, Held]) -> Iterator[Drift]:
    for image_id, one in sorted(held.items()):
        if image_id in known.replicas or image_id in known.leftovers or image_id in known.busy:
            continue
        drift = _unlisted_replica(known, one)
        if drift is not None:
            yield drift


def _unlisted_replica(known: Known, one: Held) -> Drift | None:
    size = one.replica.size_bytes if one.replica else 0
    place = {"subject": one.image_id, "image_storage": known.storage.name, "bytes": size}
    image = known.images.get(one.image_id)
    if image is None:
        verb, reason = _of_nobody(one, expunged=one.image_id in known.gone)
    elif image.status not in (ImageStatus.READY, ImageStatus.DELETED):
        return None  # a resumed add publishes again; a move ends first
    elif one.replica is None:
        verb, reason = "leave", f"{one.damage}; the image does not rely on it"
    elif _is_of(image, one.replica):
        verb, reason = "adopt replica", "the storage holds it whole and the catalog has no row of it"
    else:
        verb, reason = "leave", f"it holds sha256:{one.replica.sha256}, which is not what the image was"
    return Drift.model_validate({**place, "verb": verb, "reason": reason})


def _of_nobody(one: Held, *, expunged: bool) -> tuple[Verb, str]:
    if expunged:
        return "delete replica", "its image was expunged"
    if one.image is None or one.replica is None:
        return "leave", f"{one.damage}; the catalog never knew it"
    return "adopt image", "the catalog never knew it; the storage describes all of it"


def _is_of(image: Image, replica: Replica) -> bool:
    """Tell whether a replica may be the image's; in the format that was added it must be equal bit for bit."""
    if replica.format != image.format or image.sha256 is None or replica.sha256 is None:
        return True
    return replica.sha256 == image.sha256


def _leftovers(known: Known, held: dict[str, Held]) -> Iterator[Drift]:
    for image_id, leftover in sorted(known.leftovers.items()):
        if image_id not in held and image_id not in known.busy:
            name, reason = known.storage.name, "the storage does not hold it any more"
            yield Drift(verb="forget leftover", subject=leftover.id, image_storage=name, reason=reason)

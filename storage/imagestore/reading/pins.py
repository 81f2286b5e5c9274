"""Pins: the chips and packs named by landings and manifests. The order of reading is part of the fence."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from storage.imagestore.format import finished, names
from storage.imagestore.format.index import U1, U8, distinct, keys_of
from storage.imagestore.format.journal import Journal
from storage.imagestore.reading import manifests
from storage.imagestore.reading.manifests import Unreadable
from storage.protocols import ObjectStore

LANDINGS = "landings/"
BATCH = 1 << 22  # keys collected before repeats are removed: 32 MiB


@dataclass(frozen=True, slots=True, eq=False)
class Pins:
    """The needed chips and packs.

    keys: sorted keys of the needed chips; packs: of landings, not to be touched.
    unread: the errors of unreadable manifests, whose chips are not among the keys.
    """

    keys: U8
    packs: frozenset[bytes]
    unread: tuple[Unreadable, ...] = ()


def landing_ids(objects: ObjectStore) -> list[str]:
    """Return the ids of all landings, sorted."""
    return sorted({info.name.split("/")[1] for info in names.listed(objects, LANDINGS, names.IN_LANDING)})


def read_pins(objects: ObjectStore, gone: frozenset[str] = frozenset()) -> Pins:
    """Read landings first, then manifests: a landing published meanwhile is seen as one or the other.

    gone: landings that no longer count.
    """
    keys = _Keys()
    packs: set[bytes] = set()
    for landing_id in landing_ids(objects):
        if landing_id not in gone:
            packs.update(_pin_landing(objects, landing_id, keys))
    unread: list[Unreadable] = []
    for _, digests in manifests_chips(objects):
        if isinstance(digests, Exception):
            unread.append(digests)
        else:
            keys.add(digests)
    return Pins(keys.sorted(), frozenset(packs), tuple(unread))


def manifests_chips(objects: ObjectStore) -> Iterator[tuple[str, U1 | Unreadable]]:
    """Yield (image id, digests, or why they can't be read) of each manifest.

    The chips of copied manifests are kept as well.
    """
    return manifests.read_all(objects, lambda _, pieces: pieces.data_digests, copies=True)


def _pin_landing(objects: ObjectStore, landing_id: str, keys: "_Keys") -> set[bytes]:
    kept = Journal(objects, landing_id).read()
    keys.add(kept.entries["digest"])
    keys.add(kept.doubtful["digest"])
    packs = set(kept.packs)
    done = finished.read(objects, landing_id)
    if done is not None:
        keys.add(done.entries["digest"])
        packs.update(name.tobytes() for name in done.table.packs)
    return packs


class _Keys:
    """A growing set of keys, compacted before it holds many duplicates."""

    def __init__(self) -> None:
        self._parts: list[U8] = []
        self._count = 0

    def add(self, digests: U1) -> None:
        if len(digests):
            self._parts.append(keys_of(digests))
            self._count += len(digests)
        if self._count > BATCH:
            self._parts = [self.sorted()]
            self._count = 0

    def sorted(self) -> U8:
        return distinct(np.concatenate(self._parts)) if self._parts else np.zeros(0, np.uint64)

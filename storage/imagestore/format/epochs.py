"""Epochs: they fence reclaims off from adds without clocks or locks.

`epochs/<number>` names the packs and chips that a reclaim condemned; a note replaces it once the sweep is done. Only
the creator of the next number, which is exclusive, may condemn. An add pins (journals) first and then looks for the
newest number; a reclaim creates its number first and then reads the pins. So one of them sees the other.
"""

import logging
import struct
from dataclasses import dataclass

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StorageRefused
from storage.imagestore.format import names, verdict
from storage.imagestore.format.index import U8
from storage.imagestore.format.seal import sealed, unsealed
from storage.protocols import ObjectStore

LOG = logging.getLogger(__name__)
MAGIC = b"IWEP"
HEAD = struct.Struct("<4sIQ")
DONE = b"done"
PREFIX = "epochs/"


@dataclass(frozen=True, slots=True, eq=False)
class Condemned:
    """The packs a reclaim intends to delete, by name, and the sorted keys of the garbage chips in them."""

    packs: frozenset[bytes]
    keys: U8


def name_of(number: int) -> str:
    """Return the object name of an epoch."""
    return f"{PREFIX}{number:012d}"


def newest(objects: ObjectStore) -> int:
    """Return the newest epoch's number, 0 if there is none."""
    return max(names.numbers(objects, PREFIX), default=0)


def create(objects: ObjectStore, number: int, condemned: Condemned) -> bool:
    """Begin an epoch; return False if another caller began it."""
    packs = sorted(condemned.packs)
    body = HEAD.pack(MAGIC, len(packs), len(condemned.keys)) + b"".join(packs)
    body += condemned.keys.astype("<u8").tobytes()
    return objects.create(name_of(number), sealed(body))


def condemned(objects: ObjectStore, number: int) -> Condemned | None:
    """Return what an epoch condemns; None once its sweep is done, or for epoch 0."""
    try:
        data = objects.get(name_of(number)) if number else DONE
    except ObjectMissing:  # a newer one is done, and old numbers were dropped
        return None
    if data == DONE:
        return None
    where = f"{objects.location}/{name_of(number)}"
    try:
        body = unsealed(where, data, HEAD.size)
    except DigestMismatch:
        return _of_verdict(objects, number)
    magic, packs, keys = HEAD.unpack_from(body)
    if magic != MAGIC:
        raise StorageRefused(where, "this program can't read what is deleted there; use the version that wrote it")
    named = [bytes(body[HEAD.size + 32 * i : HEAD.size + 32 * i + 32]) for i in range(packs)]
    return Condemned(frozenset(named), np.frombuffer(body, "<u8", count=keys, offset=HEAD.size + 32 * packs))


def _of_verdict(objects: ObjectStore, number: int) -> Condemned:
    """Return what an unreadable epoch condemns: the contents of its verdict, or nothing if it has none.

    Without a verdict it deleted nothing yet; the next reclaim ends it.
    """
    settled = verdict.read(objects, number)
    said = "its verdict says it as well" if settled else "it condemns nothing"
    LOG.warning("%s/%s is damaged; %s", objects.location, name_of(number), said)
    if settled is None:
        return Condemned(frozenset(), np.zeros(0, np.uint64))
    return Condemned(settled.packs, settled.condemned)


def finish(objects: ObjectStore, number: int) -> None:
    """Record that an epoch's sweep is done, and drop older numbers."""
    objects.put(name_of(number), DONE)
    for old in names.numbers(objects, PREFIX):
        if old < number:
            objects.delete(name_of(old))

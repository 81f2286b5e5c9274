"""The verdict of an epoch: the actions of its sweep, decided once, so that any process can carry them out.

`verdicts/<epoch>`, integers little-endian: "IWVD", header bytes u32, header (JSON), then per pack its name 32, then per
chip its key u64, BLAKE3 of everything before it 32.
"""

import struct
from dataclasses import dataclass

import numpy as np

from catalog.records import Record
from storage.imagestore.format.index import U8
from storage.imagestore.format.seal import read_if_whole, sealed
from storage.protocols import ObjectStore

MAGIC = b"IWVD"
PREFIX = "verdicts/"
HEAD = struct.Struct("<4sI")


class Scope(Record):
    """The index segments of a sweep.

    segments: names that the new index replaces; sequence: of the newest of them; parts: segments of the new index.
    """

    segments: tuple[str, ...]
    sequence: int
    parts: int
    packs: int


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """packs: deleted once their chips outside `condemned` (sorted keys) lie elsewhere."""

    packs: frozenset[bytes]
    condemned: U8
    scope: Scope


def name_of(epoch: int) -> str:
    """Return the object name."""
    return f"{PREFIX}{epoch:012d}"


def record_verdict(objects: ObjectStore, epoch: int, verdict: Verdict) -> None:
    """Record the verdict, unless there is one already, which then counts."""
    header = verdict.scope.model_dump_json().encode()
    body = HEAD.pack(MAGIC, len(header)) + header + b"".join(sorted(verdict.packs))
    body += verdict.condemned.astype("<u8").tobytes()
    if not objects.create(name_of(epoch), sealed(body)) and read(objects, epoch) is None:
        objects.put(name_of(epoch), sealed(body))  # the existing one is unreadable


def read(objects: ObjectStore, epoch: int) -> Verdict | None:
    """Return the verdict of an epoch; None if none was reached, all is done, or it is unreadable.

    Judging again does no harm: adds rely on nothing that an epoch condemns, and each step of a sweep leaves a
    consistent store.
    """
    body = read_if_whole(objects, name_of(epoch), HEAD.size, "its epoch is judged again")
    if body is None:
        return None
    _, length = HEAD.unpack_from(body)
    scope = Scope.model_validate_json(bytes(body[HEAD.size : HEAD.size + length]))
    at = HEAD.size + length
    packs = frozenset(bytes(body[at + 32 * i : at + 32 * i + 32]) for i in range(scope.packs))
    keys = np.frombuffer(body, "<u8", offset=at + 32 * scope.packs)
    return Verdict(packs, keys, scope)

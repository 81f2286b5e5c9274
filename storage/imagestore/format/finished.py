"""A finished landing: its pieces and the places of its own chips, in one object, put atomically.

`landings/<id>/finished`, integers little-endian: "IWLF", version u32, the writer's number 16, stored bytes u64,
entries u64, entries as in a manifest, an index segment (its length is the rest), BLAKE3 of everything before it 32.
"""

import struct
from dataclasses import dataclass

import numpy as np

from catalog.errors import StorageRefused
from storage.imagestore.format import index
from storage.imagestore.format.index import Table
from storage.imagestore.format.journal import folder
from storage.imagestore.format.manifest import ENTRY, Entries, Pieces, pieces_of
from storage.imagestore.format.seal import read_if_whole, sealed
from storage.protocols import ObjectStore

MAGIC = b"IWLF"
VERSION = 1
HEAD = struct.Struct("<4sI16sQQ")


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A complete file. table: the chips stored by this landing; writer: as in the journal."""

    entries: Entries
    pieces: Pieces
    table: Table
    stored_bytes: int
    writer: bytes


def name_of(landing_id: str) -> str:
    """Return the object's name."""
    return f"{folder(landing_id)}/finished"


def write(objects: ObjectStore, landing_id: str, writer: bytes, entries: Entries, table: Table) -> Finished:
    """Record a finished landing."""
    stored = int(table.stored.sum(dtype=np.uint64))
    body = HEAD.pack(MAGIC, VERSION, writer, stored, len(entries)) + entries.tobytes() + index.encode(table)
    objects.put(name_of(landing_id), sealed(body))
    return Finished(entries, pieces_of(entries), table, stored, writer)


def read(objects: ObjectStore, landing_id: str) -> Finished | None:
    """Return a finished landing; None if it is unfinished or its record is damaged (journal and packs remain).

    Raises StorageRefused for another version.
    """
    where = f"{objects.location}/{name_of(landing_id)}"
    body = read_if_whole(objects, name_of(landing_id), HEAD.size, "the landing is finished again from its journal")
    if body is None:
        return None
    magic, version, writer, stored, count = HEAD.unpack_from(body)
    if magic != MAGIC or version != VERSION:
        raise StorageRefused(where, f"what arrived there has version {version}; this program reads {VERSION}")
    entries = np.frombuffer(body, dtype=ENTRY, count=count, offset=HEAD.size)
    segment = body[HEAD.size + entries.nbytes :]
    return Finished(entries, pieces_of(entries), index.decode(where, segment), stored, writer)

"""The journal of a landing: which source it reads, which pieces and packs it has. Every entry in it pins its chip.

Pieces of the log `landings/<id>/journal`: one letter, then
  B  SourceInfo as JSON; whatever came before is forgotten
  W  a writer's number 16, entries kept u64: this writer goes on from there, and no other one counts any more
  E  the writer's number 16, then entries as in a manifest: (length u64, digest 32) each
  P  the 32-byte name of a pack that is about to be published
"""

import struct
from dataclasses import dataclass
from threading import Lock
from uuid import uuid4

import numpy as np

from storage.chips.manifest import ENTRY, Entries
from storage.protocols import ObjectStore, SourceInfo

WRITER = struct.Struct("<16sQ")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a journal says: source, entries in order, packs, and the writer that counts."""

    source: SourceInfo | None
    entries: Entries
    packs: tuple[bytes, ...]
    writer: bytes


def folder(landing_id: str) -> str:
    """Return where a landing's objects lie."""
    return f"landings/{landing_id}"


class Journal:
    """Append pieces from several threads of one process; a writer that another one replaced is not heard any more."""

    def __init__(self, objects: ObjectStore, landing_id: str) -> None:
        self._objects = objects
        self.name = f"{folder(landing_id)}/journal"
        self._lock = Lock()
        self.writer = b""

    def begin(self, info: SourceInfo) -> None:
        """Record the source read from now on."""
        self._append(b"B" + info.model_dump_json().encode())

    def take_over(self, count: int) -> None:
        """Become the writer, keeping the first `count` entries."""
        self.writer = uuid4().bytes
        self._append(b"W" + WRITER.pack(self.writer, count))

    def entries(self, entries: Entries) -> None:
        """Record the next pieces of the file: this pins their chips."""
        self._append(b"E" + self.writer + entries.tobytes())

    def pack(self, name: bytes) -> None:
        """Record a pack's name: this pins it."""
        self._append(b"P" + name)

    def read(self) -> Kept:
        """Return what was recorded."""
        source: SourceInfo | None = None
        entries: list[Entries] = []
        packs: list[bytes] = []
        writer = b""
        for piece in self._objects.pieces(self.name):
            kind, body = piece[:1], piece[1:]
            if kind == b"B":
                source, entries, writer = SourceInfo.model_validate_json(body), [], b""
            elif kind == b"W":
                writer, count = WRITER.unpack(body)
                entries = [_joint(entries)[:count]]
            elif kind == b"E" and body[:16] == writer:
                entries.append(np.frombuffer(body, dtype=ENTRY, offset=16))
            elif kind == b"P":
                packs.append(body)
        return Kept(source, _joint(entries), tuple(packs), writer)

    def delete(self) -> None:
        """End the landing: nobody can publish it any more."""
        with self._lock:
            self._objects.delete(self.name)

    def _append(self, piece: bytes) -> None:
        with self._lock:
            self._objects.append(self.name, piece)


def _joint(parts: list[Entries]) -> Entries:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=ENTRY)

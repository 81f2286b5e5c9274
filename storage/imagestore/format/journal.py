"""The journal of a landing: which source it reads, which pieces and packs it has. Every entry in it pins its chip.

Pieces of the log `landings/<id>/journal`: one letter, then
  B  SourceInfo as JSON; whatever came before is forgotten
  W  a writer's number 16, entries kept u64: this writer goes on from there, and no other one counts any more
  E  the writer's number 16, then entries as in a manifest: (length u64, digest 32) each; the last one is the seal of the
     piece: length 0, digest = BLAKE3 of the number of entries before it (u64) and of the piece itself. Programs
     that know no seals take it for a chip that is nowhere. A piece without one is taken as it is
  P  the 32-byte name of a pack that is about to be published
  F  the writer's number 16: its file is whole, so an image may name the chips from now on. New; a program that doesn't know it passes it over
An entry is believed only if all before it are: where a piece is damaged or gone, what was kept ends. What comes after it is
pinned all the same.
"""

import struct
from dataclasses import dataclass
from threading import Lock
from uuid import uuid4

import numpy as np
from blake3 import blake3

from storage.imagestore.format.manifest import ENTRY, HOLE, Entries
from storage.protocols import ObjectStore, SourceInfo

WRITER = struct.Struct("<16sQ")
WRITER_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class JournalState:
    """What a journal says: source, entries in order, packs, and the writer that counts.

    doubtful: entries that nobody goes on with, since something before them is lost; their chips may still be needed.
    done: some writer was, so that there may be an image of it.
    """

    source: SourceInfo | None
    entries: Entries
    packs: tuple[bytes, ...]
    writer: bytes
    doubtful: Entries
    done: bool


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
        self._count = 0  # of the entries that were recorded, those of writers before included

    def begin(self, info: SourceInfo) -> None:
        """Record the source read from now on."""
        self._append(b"B" + info.model_dump_json().encode())

    def take_over(self, count: int) -> None:
        """Become the writer, keeping the first `count` entries."""
        self.writer, self._count = uuid4().bytes, count
        self._append(b"W" + WRITER.pack(self.writer, count))

    def entries(self, entries: Entries) -> None:
        """Record the next pieces of the file: this pins their chips."""
        with self._lock:
            body = self.writer + entries.tobytes()
            self._objects.append(self.name, b"E" + body + _seal(self._count, body))
            self._count += len(entries)

    def pack(self, name: bytes) -> None:
        """Record a pack's name: this pins it."""
        self._append(b"P" + name)

    def done(self) -> None:
        """Record that the file is whole."""
        self._append(b"F" + self.writer)

    def read(self) -> JournalState:
        """Return what was recorded."""
        heard = _Heard()
        for piece in self._objects.pieces(self.name):
            try:
                heard.take(piece[:1], piece[1:])
            except (ValueError, struct.error):  # damaged, and with it the place of whatever comes after it
                heard.whole = False
        return JournalState(
            heard.source, _joint(heard.entries), tuple(heard.packs), heard.writer, _joint(heard.doubtful), heard.done
        )

    def delete(self) -> None:
        """End the landing: nobody can publish it any more."""
        with self._lock:
            self._objects.delete(self.name)

    def _append(self, piece: bytes) -> None:
        with self._lock:
            self._objects.append(self.name, piece)


class _Heard:
    """What was heard of a journal so far. whole: no entry before this place is lost."""

    def __init__(self) -> None:
        self.source: SourceInfo | None = None
        self.entries: list[Entries] = []
        self.doubtful: list[Entries] = []
        self.packs: list[bytes] = []
        self.writer = b""
        self.whole = True
        self.done = False

    def take(self, kind: bytes, body: bytes) -> None:
        """Hear one piece. Raises ValueError, struct.error for one that is damaged."""
        if kind == b"B":
            self.source, self.entries, self.doubtful, self.writer = None, [], [], b""
            self.source, self.whole = SourceInfo.model_validate_json(body), True
        elif kind == b"W":
            self.writer, count = WRITER.unpack(body)
            self.entries = [_joint(self.entries)[:count]]
            self.whole = len(self.entries[0]) == count
        elif kind == b"E" and body[:WRITER_BYTES] == self.writer:
            self._take_entries(np.frombuffer(body, dtype=ENTRY, offset=WRITER_BYTES), body)
        elif kind == b"P" and len(body) == len(HOLE):
            self.packs.append(body)
        elif kind == b"F":
            self.done = True

    def _take_entries(self, entries: Entries, body: bytes) -> None:
        sealed = len(entries) and not entries["length"][-1]  # there were none at first
        proven = not sealed or body.endswith(_seal(sum(map(len, self.entries)), body[: -ENTRY.itemsize]))
        self.whole = self.whole and proven
        if self.whole:
            self.entries.append(entries[:-1] if sealed else entries)
        else:
            self.doubtful.append(entries)


def _seal(before: int, body: bytes) -> bytes:
    """Return the last entry of a piece, which proves it. before: number of entries recorded before it."""
    seal = np.zeros(1, dtype=ENTRY)
    seal["digest"] = np.frombuffer(blake3(before.to_bytes(8, "little") + body).digest(), np.uint8)
    return seal.tobytes()


def _joint(parts: list[Entries]) -> Entries:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=ENTRY)

"""The journal of a landing: its source, pieces and packs. Every entry in it pins its chip.

Pieces of the log `landings/<id>/journal`: one letter, then
  B  SourceInfo as JSON; everything before is discarded
  W  a writer's number 16, entries kept u64: this writer continues from there, and no other one counts any more
  E  the writer's number 16, then entries as in a manifest: (length u64, digest 32) each; the last one is the seal of the
     piece: length 0, digest = BLAKE3 of the number of entries before it (u64) and of the piece itself. Programs
     that know no seals take it for a missing chip. A piece without a seal is accepted as it is
  P  the 32-byte name of a pack that is about to be published
  F  the writer's number 16: its file is whole, so an image may name the chips from now on. New; older programs skip it
An entry is believed only if all before it are: the kept part ends where a piece is damaged or missing. Later entries still
pin their chips.
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
    """The contents of a journal: source, entries in order, packs, and the current writer.

    doubtful: entries that no writer continues, since something before them is lost; their chips may still be needed.
    done: some writer finished the file, so an image of it may exist.
    """

    source: SourceInfo | None
    entries: Entries
    packs: tuple[bytes, ...]
    writer: bytes
    doubtful: Entries
    done: bool


def folder(landing_id: str) -> str:
    """Return the folder of a landing's objects."""
    return f"landings/{landing_id}"


class Journal:
    """Appends pieces from several threads of one process; a replaced writer's pieces are ignored."""

    def __init__(self, objects: ObjectStore, landing_id: str) -> None:
        self._objects = objects
        self.name = f"{folder(landing_id)}/journal"
        self._lock = Lock()
        self.writer = b""
        self._count = 0  # of the recorded entries, including those of earlier writers

    def begin(self, info: SourceInfo) -> None:
        """Record the source that is read from now on."""
        self._append(b"B" + info.model_dump_json().encode())

    def take_over(self, count: int) -> None:
        """Become the writer, keeping the first `count` entries."""
        self.writer, self._count = uuid4().bytes, count
        self._append(b"W" + WRITER.pack(self.writer, count))

    def entries(self, entries: Entries) -> None:
        """Record the next pieces of the file, which pins their chips."""
        with self._lock:
            body = self.writer + entries.tobytes()
            self._objects.append(self.name, b"E" + body + _seal(self._count, body))
            self._count += len(entries)

    def pack(self, name: bytes) -> None:
        """Record a pack's name, which pins it."""
        self._append(b"P" + name)

    def done(self) -> None:
        """Record that the file is complete."""
        self._append(b"F" + self.writer)

    def read(self) -> JournalState:
        """Return what was recorded."""
        heard = _Heard()
        for piece in self._objects.pieces(self.name):
            try:
                heard.take(piece[:1], piece[1:])
            except (ValueError, struct.error):  # damaged, so the place of later entries is unknown
                heard.whole = False
        return JournalState(
            heard.source, _joint(heard.entries), tuple(heard.packs), heard.writer, _joint(heard.doubtful), heard.done
        )

    def delete(self) -> None:
        """End the landing: it can't be published any more."""
        with self._lock:
            self._objects.delete(self.name)

    def _append(self, piece: bytes) -> None:
        with self._lock:
            self._objects.append(self.name, piece)


class _Heard:
    """The state of a journal read so far. whole: no entry up to here is lost."""

    def __init__(self) -> None:
        self.source: SourceInfo | None = None
        self.entries: list[Entries] = []
        self.doubtful: list[Entries] = []
        self.packs: list[bytes] = []
        self.writer = b""
        self.whole = True
        self.done = False

    def take(self, kind: bytes, body: bytes) -> None:
        """Take one piece. Raises ValueError, struct.error if it is damaged."""
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
        sealed = len(entries) and not entries["length"][-1]  # early pieces had no seal
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

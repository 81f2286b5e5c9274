"""The journal of a landing: which source it reads, which pieces and packs it has. Every entry in it pins its chip.

Pieces of the log `landings/<id>/journal`: one letter, then
  B  SourceInfo as JSON; whatever came before is forgotten
  E  entries as in a manifest: (length u64, digest 32) each
  P  the 32-byte name of a pack that is about to be published
  T  u64: only so many entries are kept
"""

import struct
from dataclasses import dataclass
from threading import Lock

import numpy as np

from storage.chips.manifest import ENTRY, Entries
from storage.protocols import ObjectStore, SourceInfo

COUNT = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a journal says: source, entries in order, packs."""

    source: SourceInfo | None
    entries: Entries
    packs: tuple[bytes, ...]


def folder(landing_id: str) -> str:
    """Return where a landing's objects lie."""
    return f"landings/{landing_id}"


class Journal:
    """Append pieces from several threads of one process."""

    def __init__(self, objects: ObjectStore, landing_id: str) -> None:
        self._objects = objects
        self._name = f"{folder(landing_id)}/journal"
        self._lock = Lock()

    def begin(self, info: SourceInfo) -> None:
        """Record the source read from now on."""
        self._append(b"B" + info.model_dump_json().encode())

    def entries(self, entries: Entries) -> None:
        """Record the next pieces of the file: this pins their chips."""
        self._append(b"E" + entries.tobytes())

    def pack(self, name: bytes) -> None:
        """Record a pack's name: this pins it."""
        self._append(b"P" + name)

    def truncate(self, count: int) -> None:
        """Keep only the first `count` entries."""
        self._append(b"T" + COUNT.pack(count))

    def read(self) -> Kept:
        """Return what was recorded."""
        source: SourceInfo | None = None
        entries: list[Entries] = []
        packs: list[bytes] = []
        for piece in self._objects.pieces(self._name):
            kind, body = piece[:1], piece[1:]
            if kind == b"B":
                source, entries = SourceInfo.model_validate_json(body), []
            elif kind == b"E":
                entries.append(np.frombuffer(body, dtype=ENTRY))
            elif kind == b"P":
                packs.append(body)
            elif kind == b"T":
                entries = [_joint(entries)[: COUNT.unpack(body)[0]]]
        return Kept(source, _joint(entries), tuple(packs))

    def _append(self, piece: bytes) -> None:
        with self._lock:
            self._objects.append(self._name, piece)


def _joint(parts: list[Entries]) -> Entries:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=ENTRY)

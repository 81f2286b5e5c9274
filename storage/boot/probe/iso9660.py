"""Files of an ISO 9660 medium, by their Rock Ridge names where they have some.

ECMA-119; RRIP 1.12 ("NM" entries). The Sleuth Kit shows only the short upper-case names, pycdlib walks the whole tree at
opening (seconds on a DVD); this reads the folders on the way and nothing else. A directory record:
0 length 1   2 extent 4 (little-endian half)   10 size 4   25 flags 1 (2: folder)   32 name length 1   33 name, then system use
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from storage.boot.probe.walking import Listed
from storage.formats.blocks import Bytes, Part

SECTOR = 2048
DESCRIPTOR = 16 * SECTOR
MAX_FOLDER = 1 << 20
_FOLDER = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder that lies in one piece. start and size: bytes."""

    name: str
    start: int
    size_bytes: int
    is_folder: bool


class IsoFiles:
    """Files by absolute path, upper and lower case alike."""

    def __init__(self, part: Bytes) -> None:
        descriptor = part.read_at(DESCRIPTOR, SECTOR)
        if descriptor[:6] != b"\x01CD001" or len(descriptor) < SECTOR:
            raise OSError("no primary volume descriptor")
        self._part = part
        self._root = _entry(descriptor[156:190])
        self.publisher = descriptor[318:446].decode("ascii", "replace").strip()

    def open(self, path: str) -> Bytes | None:
        """Return a file, None if there is none."""
        entry = self._find(path)
        if entry is None or entry.is_folder:
            return None
        return Part(self._part, entry.start, entry.size_bytes)

    def names(self, path: str) -> list[str]:
        """Return names in a folder; none if there is no such folder."""
        entry = self._find(path)
        return [child.name for child in self._children(entry)] if entry and entry.is_folder else []

    def listed(self, at: object) -> Iterator[Listed]:
        """Yield the entries of a folder; when they were changed is not read."""
        for child in self._children(at if isinstance(at, Entry) else self._root) if self._root else ():
            if child.name not in ("\x00", "\x01"):  # the folder itself, and the one above
                number = hash((child.start, "" if child.size_bytes else child.name))  # empty ones lie anywhere
                yield Listed(child.name, child.is_folder, not child.is_folder, child.size_bytes, 0, number, child)

    def _find(self, path: str) -> Entry | None:
        found = self._root
        for name in path.strip("/").split("/"):
            if found is None or not found.is_folder or not name:
                return found
            found = next((c for c in self._children(found) if c.name.lower() == name.lower()), None)
        return found

    def _children(self, folder: Entry) -> Iterator[Entry]:
        data = self._part.read_at(folder.start, min(folder.size_bytes, MAX_FOLDER))
        at = 0
        while at < len(data):
            length = data[at]
            if length == 0:  # records do not cross sectors
                at = (at // SECTOR + 1) * SECTOR
                continue
            entry = _entry(data[at : at + length])
            if entry is not None:
                yield entry
            at += length


def _entry(record: bytes) -> Entry | None:
    if len(record) < 34 or 33 + record[32] > len(record):
        return None
    extent, size = struct.unpack_from("<I4xI", record, 2)
    raw = record[33 : 33 + record[32]]
    system_use = record[33 + record[32] + (record[32] + 1) % 2 :]
    name = _rock_ridge_name(system_use) or raw.decode("ascii", "replace").split(";", 1)[0].rstrip(".")
    return Entry(name, extent * SECTOR, size, bool(record[25] & _FOLDER))


def _rock_ridge_name(system_use: bytes) -> str:
    name, at = b"", 0
    while at + 5 <= len(system_use) and system_use[at + 2] >= 4:
        length = system_use[at + 2]
        if system_use[at : at + 2] == b"NM":
            name += system_use[at + 5 : at + length]
        at += length
    return name.decode("utf-8", "replace")

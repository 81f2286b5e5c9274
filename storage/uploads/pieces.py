"""The bytes of an upload as objects: each piece is named by its offset, and contiguous pieces make up the upload.

A piece is created only if none begins there, and is never rewritten or deleted while its upload exists. So of two
senders at one offset, on any hosts, one learns of the other, and no other lock is needed: a dead host leaves none
behind.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Protocol

from catalog.errors import InvalidRequest, UploadBusy
from catalog.units import utc_now
from storage.protocols import ObjectInfo
from storage.uploads.upload import Upload

FOLDER = "uploads/pieces/"
PIECE_BYTES = 8 << 20
"""Of a piece that is written on arrival: as much as a request gathers. The S3 client adds 20 MB of copies."""
SHORT_BYTES, MOST_SHORT = 1 << 20, 1000
"""Requests of one byte each would make an object each: only this many may be shorter than a MiB."""
REMEMBERED = 1024


class Objects(Protocol):
    """The object store operations that uploads need; see `storage.protocols.ObjectStore`."""

    location: str

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        ...

    def get_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield objects in the order of their names. Raises ObjectMissing."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Create or replace."""
        ...

    def create(self, name: str, data: bytes | bytearray) -> bool:
        """Create, or return False if the name has other bytes."""
        ...

    def size(self, name: str) -> int | None:
        """Return the object's size, or None if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects by name."""
        ...

    def delete_each(self, names: Sequence[str]) -> None:
        """Delete objects; absent ones are skipped."""
        ...


@dataclass(frozen=True, slots=True)
class End:
    """The end of the pieces. offset: bytes; short: how many are short; touched: when the last one was made."""

    offset: int = 0
    short: int = 0
    touched: datetime | None = None

    def behind(self, size_bytes: int, touched: datetime | None) -> "End":
        """Return the end after one more piece."""
        return End(self.offset + size_bytes, self.short + (size_bytes < SHORT_BYTES), touched)


class _Ends:
    """The ends of uploads' pieces when this process last looked, so that it lists only later pieces."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], End] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, str]) -> End:
        with self._lock:
            return self._known.get(key, End())

    def keep(self, key: tuple[str, str], end: End) -> None:
        with self._lock:
            self._known[key] = end
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._known.pop(key, None)


_ENDS = _Ends()


class Pieces:
    """The pieces of one upload."""

    def __init__(self, objects: Objects, upload_id: str) -> None:
        self._objects, self._folder = objects, f"{FOLDER}{upload_id}/"
        self._key = (objects.location, upload_id)

    def end(self) -> End:
        """Return the end of the pieces: one request if nothing came since this process last looked."""
        known = _ENDS.get(self._key)
        if known.offset and next(self._objects.list(self._name(known.offset)), None) is None:
            return known
        found = End()
        for info in self._end_to_end():
            found = found.behind(info.size_bytes, info.modified_at)
        _ENDS.keep(self._key, found)
        return found

    def added(self, end: End, data: bytes | bytearray) -> End | None:
        """Create the piece at an end and return the new end, or None if another piece begins there."""
        if not self._objects.create(self._name(end.offset), data):
            self.forget()
            return None
        after = end.behind(len(data), utc_now())
        _ENDS.keep(self._key, after)
        return after

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the kept bytes of `[start, end)`, at most a piece at once. Raises ObjectMissing."""
        begins = 0
        for info in self._end_to_end():
            ends = begins + info.size_bytes
            for first in range(max(begins, start), min(ends, end), PIECE_BYTES):
                last = min(first + PIECE_BYTES, ends, end)
                yield self._objects.get(info.name, first - begins, last - begins)
            if (begins := ends) >= end:
                return

    def forget(self) -> None:
        """Forget the remembered end."""
        _ENDS.forget(self._key)

    def _end_to_end(self) -> Iterator[ObjectInfo]:
        """List the pieces up to the first gap."""
        offset = 0
        for info in self._objects.list(self._folder):
            if info.name == self._name(offset) and info.size_bytes:
                yield info
                offset += info.size_bytes

    def _name(self, offset: int) -> str:
        return f"{self._folder}{offset:020}"


class PiecesTurn:
    """A sender's turn: its writes become pieces after the existing ones."""

    piece_bytes = PIECE_BYTES

    def __init__(self, pieces: Pieces, upload: Upload) -> None:
        self._pieces, self._upload = pieces, upload
        self._end, self._wrote = pieces.end(), False

    @property
    def offset(self) -> int:
        """The number of kept bytes."""
        return self._end.offset

    def write(self, data: bytes | bytearray) -> None:
        """Create a piece. A short one too many, after others of the same turn, is dropped and sent again with more.

        Raises UploadBusy if another sender made one there, InvalidRequest for a turn of only a short piece too many.
        """
        if not data or (self._is_too_short(len(data)) and self._wrote):
            return
        if self._is_too_short(len(data)):
            allowed = f"at least {SHORT_BYTES} bytes at once: {MOST_SHORT} shorter pieces are kept, as many as may be"
            raise InvalidRequest("file", f"a piece of {len(data)} bytes", allowed)
        after = self._pieces.added(self._end, data)
        if after is None:
            raise UploadBusy(self._upload.id)
        self._end, self._wrote = after, True

    def _is_too_short(self, size_bytes: int) -> bool:
        lacking = self._upload.length - self.offset
        return size_bytes < min(SHORT_BYTES, lacking) and self._end.short >= MOST_SHORT

"""Reading a file whose packed members are kept as their contents: they are deflated again and proven.

A deflate stream is made from its beginning, so reading the first byte of a member costs all of it. The stream is kept
in an unnamed temporary file until other members replace it.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from tempfile import TemporaryFile, gettempdir
from threading import Lock
from weakref import finalize

import numpy as np
from blake3 import blake3

from catalog.errors import CapacityExceeded, DigestMismatch, StorageRefused, StorageUnavailable
from catalog.files import FULL
from storage.imagestore.format.codec import Payload
from storage.imagestore.format.manifest import Pieces
from storage.imagestore.format.members.deflating import deflated
from storage.imagestore.format.members.table import Members, MemberTable, decode_members, other_deflates
from storage.imagestore.reading.reader import PieceReader

BLOCK_BYTES = 1 << 20
MADE = 2  # reproduced members that are kept per reader


class MemberReader:
    """An ImageReader (see the protocol).

    inner: reads the pieces; front: the pieces of the file itself; where: names the image.
    Raises StorageRefused if this host deflates differently, DigestMismatch, ObjectMissing, ProgramFailed if the program
    was stopped, CapacityExceeded if there is no room for its output.
    """

    def __init__(self, inner: PieceReader, front: PieceReader, recipe: Members, where: str) -> None:
        if why := other_deflates(recipe):
            raise StorageRefused(where, f"{why}; read it on a host with that version, or have it put back there")
        self.size_bytes = recipe.size_bytes
        self._inner, self._front, self._recipe, self._where = inner, front, recipe, where
        table_at = inner.size_bytes - recipe.table_bytes
        self._table = decode_members(inner.read_at(table_at, recipe.table_bytes), recipe, inner.size_bytes, where)
        self._made: OrderedDict[int, _Spool] = OrderedDict()
        self._lock = Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, ObjectMissing."""
        end = min(offset + size, self.size_bytes)
        return b"".join(
            self._read(start, stop - start) if number is None else self._packed(number, start, stop)
            for start, stop, number in segments(self._table, offset, end)
        )

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole), adjacent ranges of one kind joined."""
        begun, kind = 0, False
        for start, end, hole in self._front.extents():
            for at, _, number in segments(self._table, start, min(end, self.size_bytes)):
                if at > begun and kind != (hole and number is None):
                    yield begun, at, kind
                    begun = at
                kind = hole and number is None
        if self.size_bytes:
            yield begun, self.size_bytes, kind

    def place_of(self, offset: int) -> int:
        """Return the offset in the pieces of the byte at `offset`, or of the first byte of its packed member."""
        ((_, _, number),) = segments(self._table, offset, offset + 1)
        if number is None:
            return offset
        span = self._table.spans[int(self._table.first_span[number])]
        return self._table.places[number] if span["own"] else int(span["place"])

    def pieces(
        self, done: Callable[[int, Sequence[Payload]], object] | None = None
    ) -> Iterator[tuple[int, Payload | None]]:
        """Yield (length, bytes or None for a hole) in order. done: as for PieceReader, in the caller's thread."""
        at = 0
        for length, data in self._front.pieces():
            end = min(at + length, self.size_bytes)
            for start, size, part in self._overlaid(at, end, data):
                if done is not None and part is not None:
                    done(start, (part,))
                yield size, part
            at = end

    @staticmethod
    def filled(length: int, data: Payload | None) -> Iterator[memoryview]:
        """Yield a piece as blocks of bytes, a hole as zeros."""
        return PieceReader.filled(length, data)

    def _overlaid(self, at: int, end: int, data: Payload | None) -> Iterator[tuple[int, int, Payload | None]]:
        """Yield (start, length, bytes or None) of a piece, with the reproduced members in their places."""
        for start, stop, number in segments(self._table, at, end):
            if number is None:
                yield start, stop - start, None if data is None else memoryview(data)[start - at : stop - at]
                continue
            for begin in range(start, stop, BLOCK_BYTES):
                size = min(BLOCK_BYTES, stop - begin)
                yield begin, size, self._packed(number, begin, begin + size)

    def _packed(self, number: int, start: int, stop: int) -> bytes:
        """Return bytes of a member. Only one is made at a time."""
        first = int(self._table.starts[number])
        with self._lock:
            if number not in self._made:
                self._made[number] = self._make(number)
            self._made.move_to_end(number)
            while len(self._made) > MADE:
                self._made.popitem(last=False)
            return self._made[number].read(start - first, stop - start)

    def _make(self, number: int) -> "_Spool":
        spool, proof = _Spool(), blake3()
        left = int(self._table.members["length"][number])
        codec = self._recipe.codecs[int(self._table.members["codec"][number])]
        with closing(deflated(codec.name, self._contents(number))) as blocks:
            while left and (block := next(blocks, None)) is not None:
                part = block[:left]
                proof.update(part)
                spool.write(part)
                left -= len(part)
        if left or proof.digest() != self._table.check(number):
            where = f"{self._where} at {self._table.starts[number]}"
            raise DigestMismatch(where, self._table.check(number).hex(), str(proof.hexdigest()))
        return spool

    def _contents(self, number: int) -> Iterator[bytes]:
        """Yield a member's contents."""
        own = self._table.places[number]
        rows = slice(*self._table.first_span[number : number + 2].tolist())
        for own_bytes, place, length in self._table.spans[rows].tolist():
            yield from self._blocks(own, own_bytes)
            yield from self._blocks(place, length)
            own += own_bytes

    def _blocks(self, offset: int, size: int) -> Iterator[bytes]:
        for at in range(offset, offset + size, BLOCK_BYTES):
            yield self._read(at, min(BLOCK_BYTES, offset + size - at))

    def _read(self, offset: int, size: int) -> bytes:
        data = self._inner.read_at(offset, size)
        if len(data) != size:
            raise DigestMismatch(self._where, f"{size} bytes for its members", f"{len(data)} bytes")
        return data


def segments(table: MemberTable, at: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield (start, end, number of the member reproduced there or None) of the bytes `[at, end)` in order."""
    number = int(np.searchsorted(table.ends, at, side="right"))
    while at < end:
        begins = int(table.starts[number]) if number < len(table.starts) else end
        if at < begins:
            stop = min(end, begins)
            yield at, stop, None
        else:
            stop = min(end, int(table.ends[number]))
            yield at, stop, number
            number += 1
        at = stop


def front_of(pieces: Pieces, size_bytes: int) -> Pieces:
    """Return the pieces of the first bytes of a file."""
    count = int(np.searchsorted(pieces.starts[:-1], size_bytes, side="left"))
    return Pieces(pieces.lengths[:count], pieces.digests[:count], pieces.starts[: count + 1], pieces.holes[:count])


class _Spool:
    """Bytes in a temporary file that disappears with this object."""

    def __init__(self) -> None:
        with TemporaryFile(buffering=0) as file:
            self._fd = os.dup(file.fileno())
        finalize(self, os.close, self._fd)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            if error.errno not in FULL:
                raise StorageUnavailable(gettempdir(), str(error)) from error
            raise CapacityExceeded(gettempdir(), len(view), 0) from error

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes from any offset."""
        return os.pread(self._fd, size, offset)

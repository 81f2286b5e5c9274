"""Reading a file kept as its contents and a recipe: its clusters are compressed again and proven."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

import numpy as np

from catalog.errors import DigestMismatch, StorageRefused
from storage.imagestore.format.codec import Payload
from storage.imagestore.format.recipe import COMPRESS, Recipe, check_of, decode_table, other_bytes
from storage.imagestore.reading.member_reader import MemberReader
from storage.imagestore.reading.reader import PieceReader
from storage.transfer.threads import in_order

KEPT_BYTES = 8 << 20  # of reproduced clusters: neighbouring reads share one
WINDOW_BYTES = 1 << 20  # of the file, made ahead at a time
WORKERS = max(2, min(8, os.cpu_count() or 2))  # compression dominates the time
AHEAD = 2 * WORKERS  # windows


class RecipeReader:
    """An ImageReader (see the protocol). inner: reads contents, rest and table; where: names the image.

    Raises StorageRefused if this host's library gives other bytes, DigestMismatch, ObjectMissing.
    """

    def __init__(self, inner: PieceReader | MemberReader, recipe: Recipe, where: str) -> None:
        if why := other_bytes(recipe):
            raise StorageRefused(where, f"{why}; read it on a host with that version, or have it put back there")
        self.size_bytes = recipe.size_bytes
        self._inner, self._recipe, self._where = inner, recipe, where
        self._compress = COMPRESS[recipe.codec]
        self._table = decode_table(self._read(self._rest_at + recipe.rest_bytes, recipe.table_bytes), recipe, where)
        self._ends = np.cumsum(self._table.gaps + self._table.lengths)
        self._made = np.concatenate([[0], np.cumsum(self._table.lengths)])  # bytes reproduced before each cluster
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, ObjectMissing."""
        end = min(offset + size, self.size_bytes)
        return b"".join(self._parts(offset, end)) if end > offset else b""

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole): compressed files have no holes."""
        if self.size_bytes:
            yield 0, self.size_bytes, False

    def place_of(self, offset: int) -> int:
        """Return the offset in the pieces of the byte at `offset`; in a compressed cluster, that of its first byte."""
        number = int(np.searchsorted(self._ends, offset, side="right"))
        if number < len(self._ends) and offset >= self._start(number):
            return self._inner.place_of(int(self._table.numbers[number]) * self._recipe.cluster_bytes)
        return self._inner.place_of(self._rest_at + offset - int(self._made[number]))

    def pieces(
        self, done: Callable[[int, Sequence[Payload]], object] | None = None
    ) -> Iterator[tuple[int, Payload | None]]:
        """Yield (length, bytes) in order, made ahead by several threads. done: as for PieceReader."""

        def make(start: int) -> bytes:
            data = self.read_at(start, WINDOW_BYTES)
            if done is not None:
                done(start, (data,))
            return data

        for data in in_order(make, range(0, self.size_bytes, WINDOW_BYTES), workers=WORKERS, room=AHEAD):
            yield len(data), data

    @staticmethod
    def filled(_length: int, data: Payload | None) -> Iterator[memoryview]:
        """Yield a piece as blocks of bytes."""
        yield memoryview(data or b"")

    @property
    def _rest_at(self) -> int:
        return self._recipe.contents_bytes

    def _start(self, number: int) -> int:
        return int(self._ends[number] - self._table.lengths[number])

    def _parts(self, at: int, end: int) -> Iterator[bytes]:
        number = int(np.searchsorted(self._ends, at, side="right"))
        while at < end:
            stop = min(end, self._start(number) if number < len(self._ends) else self.size_bytes)
            if at < stop:
                yield self._read(self._rest_at + at - int(self._made[number]), stop - at)
                at = stop
            elif number < len(self._ends):
                start, stop = self._start(number), min(end, int(self._ends[number]))
                yield self._cluster(number)[at - start : stop - start]
                at, number = stop, number + (stop == self._ends[number])

    def _cluster(self, number: int) -> bytes:
        with self._lock:
            kept = self._kept.get(number)
        return self._make(number) if kept is None else kept

    def _make(self, number: int) -> bytes:
        size = self._recipe.cluster_bytes
        contents = self._read(int(self._table.numbers[number]) * size, size)
        as_it_is = self._table.lengths[number] == size
        cluster = contents if as_it_is else self._compress(contents)
        wanted = self._table.checks[number].tobytes()
        if len(cluster) != self._table.lengths[number] or check_of(cluster) != wanted:
            raise DigestMismatch(f"{self._where} at {self._start(number)}", wanted.hex(), check_of(cluster).hex())
        with self._lock:
            self._kept_bytes += len(cluster) if number not in self._kept else 0
            self._kept[number] = cluster
            while self._kept_bytes > KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return cluster

    def _read(self, offset: int, size: int) -> bytes:
        data = self._inner.read_at(offset, size)
        if len(data) != size:
            raise DigestMismatch(self._where, f"{size} bytes for its recipe", f"{len(data)} bytes")
        return data

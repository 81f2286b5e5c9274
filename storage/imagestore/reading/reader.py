"""Reading a file made of pieces: at any offset, or whole and in order."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from threading import Lock

import numpy as np

from storage.imagestore.format.codec import CHAIN_BYTES, Payload
from storage.imagestore.format.index import I8
from storage.imagestore.format.manifest import ZEROS, Pieces
from storage.imagestore.reading.fetch import ChipSource

CACHE_BYTES = 16 << 20
LARGE_BYTES = 256 << 10  # a reader of this much continues in order, and needs no chip again that is wholly inside it
NEXT_PIECES = 512  # at most this many are examined for the rest of a chain
ZERO_VIEW = memoryview(ZEROS)


def _side_by_side(rows: I8) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of ranges of consecutive numbers."""
    breaks = (np.flatnonzero(rows[1:] != rows[:-1] + 1) + 1).tolist()
    return pairwise([0, *breaks, len(rows)])


class PieceReader:
    """An ImageReader (see the protocol) that caches the last chips."""

    def __init__(self, source: ChipSource, pieces: Pieces) -> None:
        self.size_bytes = pieces.size_bytes
        self._source, self._pieces = source, pieces
        self._cache: OrderedDict[int, Payload] = OrderedDict()
        self._cached_bytes = 0
        self._ahead: dict[int, Payload] = {}
        self._lock = Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, ObjectMissing."""
        end = min(offset + size, self.size_bytes)
        if end <= offset:
            return b""
        starts = self._pieces.starts
        first = int(np.searchsorted(starts, offset, side="right")) - 1
        last = int(np.searchsorted(starts, end, side="left"))
        chips = self._chips(first, last)
        if size < LARGE_BYTES:
            self._remember(chips)
        else:
            self._go_on(chips, last)
        return b"".join(self._parts(first, last, offset, end, chips))

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole), adjacent ranges of one kind joined."""
        holes = self._pieces.holes
        changes = np.flatnonzero(holes[1:] != holes[:-1]) + 1
        bounds = [0, *changes.tolist(), len(holes)] if len(holes) else [0]
        for first, last in pairwise(bounds):
            yield int(self._pieces.starts[first]), int(self._pieces.starts[last]), bool(holes[first])

    @staticmethod
    def place_of(offset: int) -> int:
        """Return the offset in the pieces of the byte at `offset`."""
        return offset

    def pieces(
        self, done: Callable[[int, Sequence[Payload]], object] | None = None
    ) -> Iterator[tuple[int, Payload | None]]:
        """Yield (length, bytes or None for a hole) in order, read ahead by several threads.

        done: called in those threads, in any order, with (offset in the file, adjacent chips there).
        """
        data_rows = np.flatnonzero(~self._pieces.holes)
        digests = self._pieces.digests[data_rows]
        offsets = self._pieces.starts[data_rows]

        def report(numbers: range, run: Sequence[Payload]) -> None:
            for first, last in _side_by_side(data_rows[numbers.start : numbers.stop]):
                done(int(offsets[numbers.start + first]), run[first:last])  # type: ignore[misc]  # not None, see below

        chips = (chip for run in self._source.stream(digests, report if done else None) for chip in run)
        lengths = self._pieces.lengths.tolist()
        for length, hole in zip(lengths, self._pieces.holes.tolist(), strict=True):
            yield length, None if hole else next(chips)

    @staticmethod
    def filled(length: int, data: Payload | None) -> Iterator[memoryview]:
        """Yield a piece as blocks of bytes, a hole as zeros."""
        if data is not None:
            yield memoryview(data)
            return
        while length > 0:
            block = ZERO_VIEW[:length]
            yield block
            length -= len(block)

    def _chips(self, first: int, last: int) -> dict[int, Payload]:
        """Return the chips of the pieces `[first, last)` by piece number; holes have none."""
        wanted = [i for i in range(first, last) if not self._pieces.holes[i]]
        with self._lock:
            chips = {i: kept[i] for kept in (self._ahead, self._cache) for i in wanted if i in kept}
        rows = [i for i in wanted if i not in chips]
        if rows:
            next_rows = self._data_after(last)
            read = self._source.read_on(self._pieces.digests[[*rows, *next_rows]], len(rows))
            chips.update(zip([*rows, *next_rows], read, strict=False))
        return chips

    def _data_after(self, first: int) -> list[int]:
        """Return the numbers of the data pieces from number `first` on, as far as a chain may extend."""
        reach = np.searchsorted(self._pieces.starts, self._pieces.starts[first] + np.uint64(CHAIN_BYTES))
        stop = min(int(reach), first + NEXT_PIECES)
        numbers: list[int] = (first + np.flatnonzero(~self._pieces.holes[first:stop])).tolist()
        return numbers

    def _go_on(self, chips: dict[int, Payload], last: int) -> None:
        """Cache the chips that start the next large read, pieces from `last` - 1 on, as views of two runs at most."""
        with self._lock:
            ahead = {number: chip for number, chip in chips.items() if number >= last}
            ahead = ahead or {number: chip for number, chip in self._ahead.items() if number >= last}
            self._ahead = ahead | {number: chips[number] for number in (last - 1,) if number in chips}

    def _remember(self, chips: dict[int, Payload]) -> None:
        with self._lock:
            for number, chip in chips.items():
                if number not in self._cache:
                    self._cached_bytes += len(chip)
                self._cache[number] = bytes(chip)  # a view would keep its whole run alive
                self._cache.move_to_end(number)
            while self._cached_bytes > CACHE_BYTES:
                self._cached_bytes -= len(self._cache.popitem(last=False)[1])

    def _parts(self, first: int, last: int, offset: int, end: int, chips: dict[int, Payload]) -> Iterator[Payload]:
        for i in range(first, last):
            start = int(self._pieces.starts[i])
            low, high = max(offset, start) - start, min(end, int(self._pieces.starts[i + 1])) - start
            yield bytes(high - low) if i not in chips else memoryview(chips[i])[low:high]

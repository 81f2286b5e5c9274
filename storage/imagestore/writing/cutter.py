"""Cut a stream into pieces: zero cells become holes, the rest is cut by content (FastCDC).

Cuts depend only on content and file offset, never on the sizes of the incoming blocks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pyfastcdc import FastCDC

from storage.imagestore.format.manifest import ZEROS
from storage.imagestore.format.parameters import Parameters

NOTHING = memoryview(b"")


class Piece(NamedTuple):
    """A piece of the file in order: a chip's bytes, or a hole if `data` is None."""

    length: int
    data: memoryview | None


class Cutter:
    """Takes blocks and returns pieces, in order. start: file offset at which a piece begins."""

    def __init__(self, parameters: Parameters, start: int = 0) -> None:
        self._cell = parameters.cell_bytes
        self._max = parameters.max_bytes
        self._cdc = FastCDC(
            parameters.average_bytes,
            min_size=parameters.min_bytes,
            max_size=parameters.max_bytes,
            normalized_chunking=1,
            seed=0,
        )
        self._at = start  # file offset of the first byte not yet returned
        self._held: list[memoryview] = []
        self._held_bytes = 0
        self._enough = self._max + 2 * self._cell  # this many bytes always decide at least one piece

    def feed(self, block: memoryview) -> list[Piece]:
        """Take the next bytes, return the pieces they decide. The block must never change afterwards."""
        if self._held_bytes and len(block) < self._enough:
            return self._feed_small(block)
        pieces: list[Piece] = []
        if self._held_bytes:
            held = self._held_bytes
            done = self._cut(self._joined(block[: self._enough]), held, pieces)
            block = block[done - held :]
        self._hold(block[self._cut(block, len(block), pieces) :])
        return pieces

    def finish(self) -> list[Piece]:
        """Return the remaining pieces at the end of the stream."""
        pieces: list[Piece] = []
        if self._held_bytes:
            rest = self._joined(NOTHING)
            self._cut(rest, len(rest), pieces, ended=True)
        return pieces

    def _feed_small(self, block: memoryview) -> list[Piece]:
        """Collect small blocks, so that held bytes are not joined again for each of them."""
        pieces: list[Piece] = []
        self._held.append(block)
        self._held_bytes += len(block)
        if self._held_bytes >= self._enough:
            joint = self._joined(NOTHING)
            self._hold(joint[self._cut(joint, len(joint), pieces) :])
        return pieces

    def _joined(self, front: memoryview) -> memoryview:
        joint = memoryview(b"".join((*self._held, front)))
        self._held, self._held_bytes = [], 0
        return joint

    def _hold(self, rest: memoryview) -> None:
        if len(rest):
            self._held, self._held_bytes = [rest], len(rest)

    def _cut(self, view: memoryview, until: int, pieces: list[Piece], *, ended: bool = False) -> int:
        """Append the decided pieces that begin before `until`; return the number of bytes they cover."""
        done = 0
        for end, hole, closed in self._runs(view, ended=ended):
            if hole:
                pieces.append(Piece(end - done, None))
                done = end
            else:
                done = self._cut_data(view, done, end, until, pieces, closed=closed)
            if done >= until or done < end:
                break
        self._at += done
        return done

    def _cut_data(
        self, view: memoryview, start: int, end: int, until: int, pieces: list[Piece], *, closed: bool
    ) -> int:
        """Cut one run of data; its last chip waits for more bytes unless the run is closed."""
        run = view[start:end]
        for chunk in self._cdc.cut_buf(run):
            stop = start + chunk.length
            if stop == end and not closed and chunk.length < self._max:
                break
            pieces.append(Piece(chunk.length, view[start:stop]))
            start = stop
            if start >= until:
                break
        return start

    def _runs(self, view: memoryview, *, ended: bool) -> Iterator[tuple[int, bool, bool]]:
        """Yield (end, is hole, is closed) for alternating runs of whole cells from the front of `view`."""
        first = -self._at % self._cell
        limit = len(view) if ended else (self._at + len(view)) // self._cell * self._cell - self._at
        if limit <= 0:
            return
        hole = False
        run_end = 0
        for cell in range(first, limit, self._cell):
            cell_end = min(cell + self._cell, limit)
            zero = ZEROS.startswith(view[cell:cell_end])
            if zero != hole:
                if cell > 0:
                    yield cell, hole, True
                hole = zero
            run_end = cell_end
        yield max(run_end, min(first, limit)), hole, ended

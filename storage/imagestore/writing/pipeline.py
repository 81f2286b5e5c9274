"""From blocks to durable chips, in stages that run in parallel.

Blocks are cut and hashed in the caller's thread, compressed in a pool, written in order in a lane, and pinned in
another.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock
from time import monotonic
from typing import NamedTuple

import numpy as np

from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format.codec import digest_of
from storage.imagestore.format.index import Table, as_digests, joined_by_size, keys_of
from storage.imagestore.format.journal import Journal
from storage.imagestore.format.manifest import ENTRY, HOLE, Entries
from storage.imagestore.reading.view import View
from storage.imagestore.writing.cutter import Cutter, Piece
from storage.imagestore.writing.packer import Encoded, Packer
from storage.transfer.threads import Lane

COMPRESSORS = 2
BATCHES_WAITING = 1  # between cutting and writing; a SIGKILL loses what waits here
PINS_WAITING = 1  # pieces of the journal; while one is on its way to S3, the next blocks are written


class _Unpinned(NamedTuple):
    """Pieces of one block: entries for the journal, and chips that the store has, with their bytes."""

    entries: Entries
    known: dict[bytes, memoryview]
    epoch: int  # of the view that knew them


class _Batch(NamedTuple):
    """One block: its pieces, and new chips being compressed."""

    pieces: _Unpinned
    encoded: "Future[list[Encoded]]"


class Pipeline:
    """The one writer of a landing.

    offset: of the first byte; own: the landing's durable packs; sealed: called with the table of each pack that became
    durable; room: see ChipLanding.
    """

    def __init__(
        self,
        chips: ChipStore,
        journal_: Journal,
        folder: str,
        offset: int,
        own: tuple[Table, ...],
        sealed: Callable[[Table], None],
        room: Callable[[int], None],
    ) -> None:
        self._chips, self._journal, self._room = chips, journal_, room
        self._cutter = Cutter(chips.parameters, offset)
        self.size_bytes = offset
        self._view = chips.load_view()
        self._before, self._report_sealed = own, sealed
        self._new: tuple[Table, ...] = ()
        self._pace = SpareTime()
        self._unpinned: list[_Unpinned] = []
        self._unpinned_bytes = 0
        self._condemned: SimpleQueue[dict[bytes, memoryview]] = SimpleQueue()
        self._sealing = Lock()
        self._unsealed: set[bytes] = set()
        self._pool = ThreadPoolExecutor(COMPRESSORS, thread_name_prefix="compress")
        self._packer = Packer(chips.objects, folder, chips.parameters.pack_bytes, self._journal.pack, self._sealed)
        self._pinning = Lane(self._pin, "pin-chips", PINS_WAITING)
        self._writing = Lane(self._store, "store-chips", BATCHES_WAITING)

    def write(self, block: memoryview) -> None:
        """Take the next bytes; waits while too much is in progress. Raises failures of later stages."""
        with self._pace.working():
            self._take(self._cutter.feed(block))
        self.size_bytes += len(block)

    def finish(self) -> None:
        """Make everything durable and pinned."""
        self._take(self._cutter.finish())
        self._writing.join()
        self._hand_over()
        self._packer.close_part()
        self._pinning.join()
        self._store_condemned()
        self._packer.close_part()
        self._packer.wait()

    def stop(self) -> None:
        """Stop all threads, keeping what can be kept."""
        self._writing.stop()
        try:
            if self._writing.failure is None and self._pinning.failure is None:
                self._hand_over()
                self._pinning.join()
                self._store_condemned()
                self._packer.keep()
        finally:
            self._pinning.stop()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._packer.stop()

    def _take(self, pieces: list[Piece]) -> None:
        """Hash and look up the chips of a block; pass new ones on for compression."""
        if not pieces:
            return
        digests = [HOLE if data is None else digest_of(data) for _, data in pieces]
        entries = np.zeros(len(pieces), dtype=ENTRY)
        entries["length"] = [length for length, _ in pieces]
        entries["digest"] = as_digests(digests)
        chips = {d: data for d, (_, data) in zip(digests, pieces, strict=True) if data is not None}
        view = self._view
        ours = self._ours(list(chips))
        known = self._known([d for d in chips if d not in ours], view)
        new = [(d, data) for d, data in chips.items() if d not in ours and d not in known]
        self._unsealed.update(d for d, _ in new)
        encoded = self._pool.submit(self._encode, new, hurried=not self._pace.leisurely)
        self._writing.put(_Batch(_Unpinned(entries, {d: chips[d] for d in known}, view.epoch), encoded))

    def _ours(self, digests: list[bytes]) -> set[bytes]:
        """Return the chips this writer stored; none is condemned, as only the journal names their packs so far."""
        ours = {d for d in digests if d in self._unsealed}
        rest = [d for d in digests if d not in ours]
        if rest:
            wanted = as_digests(rest)
            keys = keys_of(wanted)
            for table in self._new:
                ours.update(rest[row] for row in np.flatnonzero(table.find(wanted, keys) >= 0))
        return ours

    def _known(self, digests: list[bytes], view: View) -> set[bytes]:
        """Return the chips that the store, or an earlier attempt of this landing, has and keeps."""
        if not digests:
            return set()
        there = view.with_own(self._before).usable(as_digests(digests))
        return {digests[row] for row in np.flatnonzero(there)}

    def _encode(self, chips: list[tuple[bytes, memoryview]], *, hurried: bool = True) -> list[Encoded]:
        encoded = self._chips.codec.encode_all([data for _, data in chips], hurried=hurried)
        return [
            Encoded(digest, codec, len(data), payload)
            for (digest, data), (codec, payload) in zip(chips, encoded, strict=True)
        ]

    def _store(self, batch: _Batch) -> None:
        """Write new chips; pass the batch on to be pinned."""
        self._store_condemned()
        self._packer.add(batch.encoded.result())
        self._room(self._packer.stored_bytes)
        self._unpinned.append(batch.pieces)
        self._unpinned_bytes += int(batch.pieces.entries["length"].sum())
        if self._unpinned_bytes >= self._chips.objects.piece_bytes:
            self._hand_over()

    def _hand_over(self) -> None:
        """Pass on new pieces to be pinned; waits while too many are in progress. Raises failures there."""
        pieces, self._unpinned, self._unpinned_bytes = self._unpinned, [], 0
        if pieces:
            self._pinning.put(pieces)

    def _pin(self, pieces: list[_Unpinned]) -> None:
        """Journal the pieces, then look for condemned chips they rely on; the other lane stores those again."""
        self._journal.entries(np.concatenate([piece.entries for piece in pieces]))
        relying = [piece for piece in pieces if piece.known]
        newest = self._chips.newest_epoch() if relying else 0
        known = {d: data for piece in relying if piece.epoch != newest for d, data in piece.known.items()}
        if known:
            self._condemned.put(known)

    def _store_condemned(self) -> None:
        """Store again the chips relied on that a reclaim condemned."""
        while not self._condemned.empty():
            chips = self._condemned.get()
            self._view = self._chips.load_view()
            known = self._ours(list(chips)) | self._known(list(chips), self._view)
            again = [(d, data) for d, data in chips.items() if d not in known]
            self._unsealed.update(d for d, _ in again)
            self._packer.add(self._encode(again))

    def _sealed(self, table: Table) -> None:
        with self._sealing:
            self._new = joined_by_size((*self._new, table))
        self._unsealed.difference_update(d.tobytes() for d in table.digests)
        self._report_sealed(table)


WEIGHT = 0.2  # of the newest block in the running average
SPARE = 2.0  # waiting must take this many times as long as working: MD5 alone makes everything wait a little


class SpareTime:
    """Compares the time spent waiting for blocks with the time spent on them.

    It corrects itself: better compression takes longer, and stops once there is no waiting any more.
    """

    def __init__(self) -> None:
        self._left = monotonic()
        self._waiting = 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Measure the work on one block."""
        began = monotonic()
        waited = began - self._left
        yield
        self._left = monotonic()
        slow = waited > SPARE * (self._left - began)
        self._waiting += WEIGHT * (slow - self._waiting)

    @property
    def leisurely(self) -> bool:
        """Tell whether most time of the last blocks was spent waiting."""
        return self._waiting > 0.5

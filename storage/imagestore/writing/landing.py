"""A landing in a chip store: bytes are cut, hashed, looked up, compressed and packed as they arrive."""

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StaleLanding
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import finished, journal
from storage.imagestore.format.index import Table, as_digests, joined_by_size, keys_of, merge
from storage.imagestore.format.journal import Journal
from storage.imagestore.format.manifest import Entries, joined_holes, pieces_of
from storage.imagestore.reading.damage import damaged_among
from storage.imagestore.reading.reader import PieceReader
from storage.imagestore.writing import salvage
from storage.imagestore.writing.packer import Packer
from storage.imagestore.writing.pipeline import Pipeline
from storage.imagestore.writing.publish import discard
from storage.protocols import ImageReader, SourceInfo, StoredFile


class ChipLanding:
    """A Landing (see the protocol). room: called with bytes written so far, raises CapacityExceeded."""

    def __init__(self, chips: ChipStore, landing_id: str, room: Callable[[int], None]) -> None:
        self.landing_id = landing_id
        self._chips, self._objects, self._room = chips, chips.objects, room
        self._folder = journal.folder(landing_id)
        self._journal = Journal(chips.objects, landing_id)
        self._own: tuple[Table, ...] = ()  # durable packs of this landing
        self._sealing = Lock()
        self._pipeline: Pipeline | None = None

    def begun_with(self) -> SourceInfo | None:
        """Return the source recorded by `begin`."""
        return self._journal.read().source

    def begin(self, info: SourceInfo) -> None:
        """Discard everything kept and record the source."""
        self.discard()
        self._journal.begin(info)

    def restore(self, feed: Callable[[memoryview], None]) -> int:
        """Prove and feed what was kept, in order, up to the first unavailable piece."""
        self.close()
        self._objects.delete(finished.name_of(self.landing_id))
        kept = self._journal.read()
        self._own = salvage.packs_left(self._objects, kept.packs)
        self._salvage()
        count, offset = self._feed_kept(kept.entries, feed)
        self._start(count, offset)
        return offset

    def write(self, block: memoryview) -> None:
        """Take the next bytes."""
        (self._pipeline or self._start(0, 0)).write(block)

    def finish(self) -> StoredFile:
        """Make everything durable and record that the file is complete."""
        done = finished.read(self._objects, self.landing_id)
        if done is None:
            pipeline = self._pipeline or self._start(0, 0)
            pipeline.finish()
            self.close()
            kept = self._journal.read()
            if kept.writer != self._journal.writer or int(kept.entries["length"].sum()) != pipeline.size_bytes:
                raise StaleLanding(self.landing_id)  # swept by a reclaim, or taken over by another process
            self._prove_pinned(kept.packs)
            self._prove_complete(kept.entries)
            entries = joined_holes(kept.entries)
            self._journal.done()
            done = finished.write(self._objects, self.landing_id, kept.writer, entries, merge(self._own))
        return StoredFile(size_bytes=done.pieces.size_bytes, stored_bytes=done.stored_bytes)

    def _prove_pinned(self, pinned: Sequence[bytes]) -> None:
        """Check that the journal names all our packs: a reclaim takes others for loose. Raises StaleLanding."""
        if not {name.tobytes() for table in self._own for name in table.packs} <= set(pinned):
            raise StaleLanding(self.landing_id)

    def _prove_complete(self, entries: Entries) -> None:
        """Look up every chip again before the landing counts as finished. Raises StaleLanding."""
        digests = pieces_of(entries).data_digests
        if self._chips.load_view().with_own(self._own).locate(digests).missing.any():
            raise StaleLanding(self.landing_id)

    def open(self) -> ImageReader:
        """Open a finished landing for reading. Raises StaleLanding if it is not finished."""
        done = finished.read(self._objects, self.landing_id)
        if done is None:
            raise StaleLanding(self.landing_id)
        return PieceReader(self._chips.source((done.table,)), done.pieces)

    def close(self) -> None:
        """Stop background work, and keep what can be kept."""
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def discard(self) -> None:
        """Delete the landing and its bytes."""
        self.close()
        discard(self._chips, self.landing_id)
        self._own = ()

    def _start(self, count: int, offset: int) -> Pipeline:
        self._journal.take_over(count)
        self._pipeline = Pipeline(self._chips, self._journal, self._folder, offset, self._own, self._sealed, self._room)
        return self._pipeline

    def _sealed(self, table: Table) -> None:
        with self._sealing:  # several threads publish packs
            self._own = joined_by_size((*self._own, table))

    def _salvage(self) -> None:
        parts = salvage.parts_in(self._objects, self._folder)
        if not parts:
            return
        packer = Packer(
            self._objects, self._folder, self._chips.parameters.pack_bytes, self._journal.pack, self._sealed
        )
        try:
            salvage.move_parts(self._objects, parts, packer)
        finally:
            packer.stop()

    def _feed_kept(self, entries: Entries, feed: Callable[[memoryview], None]) -> tuple[int, int]:
        """Feed the kept entries; return how many entries, and how many bytes, could be read back."""
        source = self._chips.source(self._own)
        reader = PieceReader(source, pieces_of(entries))
        count, offset = 0, 0
        try:
            for length, data in reader.pieces():
                if data is not None and len(data) != length:
                    break  # a damaged journal without seals: the following bytes would be at the wrong place
                for view in reader.filled(length, data):
                    feed(view)
                count, offset = count + 1, offset + length
        except (ObjectMissing, DigestMismatch):
            # Unavailable chips are fetched again from the source, and must count as unknown then.
            self._forget(damaged_among(self._objects, source, pieces_of(entries[count:]).data_digests))
        return count, offset

    def _forget(self, digests: list[bytes]) -> None:
        """Drop the known places of damaged chips."""
        damaged = as_digests(digests)
        for table in self._own if digests else ():
            whole = np.ones(len(table), np.bool_)
            rows = table.find(damaged, keys_of(damaged))
            whole[rows[rows >= 0]] = False
            self._own = tuple(table.take(whole) if own is table else own for own in self._own)

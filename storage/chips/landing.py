"""A landing in a chip store: bytes are cut, hashed, looked up, compressed and packed while they arrive."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StaleLanding
from storage.chips import finished, journal, pack
from storage.chips.codec import Unpacker, digest_of
from storage.chips.cutter import Cutter, Piece
from storage.chips.index import Table, as_digests, merge, table_of
from storage.chips.journal import Journal
from storage.chips.manifest import ENTRY, HOLE, Entries, joined_holes, pieces_of
from storage.chips.pace import Pace
from storage.chips.pack import RECORD
from storage.chips.packer import Encoded, Packer
from storage.chips.publish import discard
from storage.chips.reader import PieceReader
from storage.chips.store import ChipStore
from storage.chips.view import View
from storage.lanes import Lane
from storage.protocols import ImageReader, SourceInfo, StoredFile

COMPRESSORS = 2
BATCHES_WAITING = 1  # between cutting and writing; what waits here is lost by a SIGKILL


class _Batch(NamedTuple):
    """Pieces of one block: entries for the journal, new chips being compressed, known ones with their bytes."""

    entries: Entries
    encoded: "Future[list[Encoded]]"
    known: dict[bytes, memoryview]
    epoch: int  # of the view that knew them


class ChipLanding:
    """A Landing (see the protocol). room: called with bytes written so far, raises CapacityExceeded."""

    def __init__(self, chips: ChipStore, landing_id: str, room: Callable[[int], None]) -> None:
        self.landing_id = landing_id
        self._chips, self._objects, self._room = chips, chips.objects, room
        self._folder = journal.folder(landing_id)
        self._journal = Journal(chips.objects, landing_id)
        self._own: tuple[Table, ...] = ()  # packs of this landing that are durable
        self._sealing = Lock()
        self._pipeline: _Pipeline | None = None

    def begun_with(self) -> SourceInfo | None:
        """Return what `begin` recorded."""
        return self._journal.read().source

    def begin(self, info: SourceInfo) -> None:
        """Forget whatever was kept and record the source."""
        self.discard()
        self._journal.begin(info)

    def restore(self, feed: Callable[[memoryview], None]) -> int:
        """Prove and feed what was kept, in order; the first piece that can't be had ends it."""
        self.close()
        self._objects.delete(finished.name_of(self.landing_id))
        kept = self._journal.read()
        self._own = tuple(self._packs_left(kept.packs))
        self._salvage()
        count, offset = self._feed_kept(kept.entries, feed)
        self._start(count, offset)
        return offset

    def write(self, block: memoryview) -> None:
        """Take the next bytes."""
        (self._pipeline or self._start(0, 0)).write(block)

    def finish(self) -> StoredFile:
        """Make everything durable and note that the file is whole."""
        done = finished.read(self._objects, self.landing_id)
        if done is None:
            pipeline = self._pipeline or self._start(0, 0)
            pipeline.finish()
            self.close()
            kept = self._journal.read()
            if (
                kept.writer != self._journal.writer
                or int(kept.entries["length"].sum()) != pipeline.size_bytes
            ):
                raise StaleLanding(self.landing_id)  # swept by reclaim, or another process went on with it
            self._prove_complete(kept.entries)
            entries = joined_holes(kept.entries)
            done = finished.write(self._objects, self.landing_id, kept.writer, entries, merge(self._own))
        return StoredFile(size_bytes=done.pieces.size_bytes, stored_bytes=done.stored_bytes)

    def _prove_complete(self, entries: Entries) -> None:
        """Look up every chip once more before the landing counts as finished. Raises StaleLanding."""
        digests = pieces_of(entries).data_digests
        if self._chips.load_view().with_own(self._own).locate(digests).missing.any():
            raise StaleLanding(self.landing_id)

    def open(self) -> ImageReader:
        """Read a finished landing. Raises StaleLanding if it is not finished."""
        done = finished.read(self._objects, self.landing_id)
        if done is None:
            raise StaleLanding(self.landing_id)
        return PieceReader(self._chips.source((done.table,)), done.pieces)

    def close(self) -> None:
        """Stop background work, keep what can be kept."""
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def discard(self) -> None:
        """Delete the landing and its bytes."""
        self.close()
        discard(self._chips, self.landing_id)
        self._own = ()

    def _start(self, count: int, offset: int) -> "_Pipeline":
        self._journal.take_over(count)
        self._pipeline = _Pipeline(
            self._chips, self._journal, self._folder, offset, self._own, self._sealed, self._room
        )
        return self._pipeline

    def _sealed(self, table: Table) -> None:
        with self._sealing:  # packs are published by several threads
            self._own = joined_by_size((*self._own, table))

    def _packs_left(self, names: Sequence[bytes]) -> list[Table]:
        """Return the tables of the landing's packs that were published before the death."""
        tables: list[Table] = []
        for name in dict.fromkeys(names):
            try:
                tables.append(table_of([(name, pack.read_entries(self._objects, name))]))
            except (ObjectMissing, DigestMismatch):
                continue  # never published, or damaged: its chips are fetched again from the source
        return [merge(tables)] if tables else []

    def _salvage(self) -> None:
        """Move the whole records of parts that a dead process left into a pack."""
        parts = [i.name for i in self._objects.list(f"{self._folder}/") if i.name.endswith(".part")]
        if not parts:
            return
        packer = Packer(
            self._objects, self._folder, self._chips.parameters.pack_bytes, self._journal.pack, self._sealed
        )
        try:
            for name in parts:
                packer.add(salvaged_chips(name, self._objects.get(name)))
            packer.close_part()
            packer.wait()
        finally:
            packer.stop()
        for name in parts:
            self._objects.delete(name)

    def _feed_kept(self, entries: Entries, feed: Callable[[memoryview], None]) -> tuple[int, int]:
        """Return how many entries, and how many bytes, could be read back."""
        reader = PieceReader(self._chips.source(self._own), pieces_of(entries))
        count, offset = 0, 0
        try:
            for length, data in reader.pieces():
                for view in reader.filled(length, data):
                    feed(view)
                count, offset = count + 1, offset + length
        except (ObjectMissing, DigestMismatch):
            pass  # what can't be had any more is fetched again from the source
        return count, offset


class _Pipeline:
    """From blocks to durable chips: cut and hash here, compress in a pool, write in order in a lane."""

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
        self._own, self._report_sealed = own, sealed
        self._pace = Pace()
        self._unpinned: list[_Batch] = []
        self._unpinned_bytes = 0
        self._sealing = Lock()
        self._unsealed: set[bytes] = set()
        self._pool = ThreadPoolExecutor(COMPRESSORS, thread_name_prefix="compress")
        self._packer = Packer(
            chips.objects, folder, chips.parameters.pack_bytes, self._journal.pack, self._sealed
        )
        self._writing = Lane(self._store, "store-chips", BATCHES_WAITING)

    def write(self, block: memoryview) -> None:
        with self._pace.working():
            self._take(self._cutter.feed(block))
        self.size_bytes += len(block)

    def finish(self) -> None:
        self._take(self._cutter.finish())
        self._writing.join()
        self._pin()
        self._packer.close_part()
        self._packer.wait()

    def stop(self) -> None:
        self._writing.stop()
        if self._writing.failure is None:
            self._pin()
            self._packer.keep()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._packer.stop()

    def _take(self, pieces: list[Piece]) -> None:
        """Hash and look up the chips of a block; hand over what is new for compression."""
        if not pieces:
            return
        digests = [HOLE if data is None else digest_of(data) for _, data in pieces]
        entries = np.zeros(len(pieces), dtype=ENTRY)
        entries["length"] = [length for length, _ in pieces]
        entries["digest"] = as_digests(digests)
        chips = {d: data for d, (_, data) in zip(digests, pieces, strict=True) if data is not None}
        view = self._view
        known = self._known(list(chips), view)
        new = [(d, data) for d, data in chips.items() if d not in known]
        self._unsealed.update(d for d, _ in new)
        encoded = self._pool.submit(self._encode, new, hurried=not self._pace.leisurely)
        self._writing.put(_Batch(entries, encoded, {d: chips[d] for d in known}, view.epoch))

    def _known(self, digests: list[bytes], view: View) -> set[bytes]:
        """Return which chips need no storing: this landing has them, or the store has and keeps them."""
        known = {d for d in digests if d in self._unsealed}
        rest = [d for d in digests if d not in known]
        if rest:
            usable = view.with_own(self._own).usable(as_digests(rest))
            known.update(d for d, there in zip(rest, usable.tolist(), strict=True) if there)
        return known

    def _encode(self, chips: list[tuple[bytes, memoryview]], *, hurried: bool = True) -> list[Encoded]:
        encoded = self._chips.codec.encode_all([data for _, data in chips], hurried=hurried)
        return [
            Encoded(digest, codec, len(data), payload)
            for (digest, data), (codec, payload) in zip(chips, encoded, strict=True)
        ]

    def _store(self, batch: _Batch) -> None:
        """Write new chips, pin the batch, then make sure that no reclaim condemned what it relies on."""
        self._packer.add(batch.encoded.result())
        self._room(self._packer.stored_bytes)
        self._unpinned.append(batch)
        self._unpinned_bytes += int(batch.entries["length"].sum())
        if self._unpinned_bytes >= self._chips.objects.piece_bytes:
            self._pin()

    def _pin(self) -> None:
        """Journal what came since the last time; known chips that a reclaim condemned meanwhile are stored again."""
        batches, self._unpinned, self._unpinned_bytes = self._unpinned, [], 0
        if batches:
            self._journal.entries(np.concatenate([batch.entries for batch in batches]))
            newest = self._chips.newest_epoch()
            known = {d: data for batch in batches if batch.epoch != newest for d, data in batch.known.items()}
            if known:
                self._store_condemned(known)

    def _store_condemned(self, chips: dict[bytes, memoryview]) -> None:
        self._view = self._chips.load_view()
        known = self._known(list(chips), self._view)
        again = [(d, data) for d, data in chips.items() if d not in known]
        self._unsealed.update(d for d, _ in again)
        self._packer.add(self._encode(again))

    def _sealed(self, table: Table) -> None:
        with self._sealing:
            self._own = joined_by_size((*self._own, table))
        self._unsealed.difference_update(d.tobytes() for d in table.digests)
        self._report_sealed(table)


def joined_by_size(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """Merge the last tables while they are of like size: few tables, each row copied rarely."""
    while len(tables) > 1 and len(tables[-2]) < 2 * len(tables[-1]):
        tables = (*tables[:-2], merge(tables[-2:]))
    return tables


def salvaged_chips(part: str, data: bytes) -> list[Encoded]:
    """Return the undamaged chips of an unfinished pack."""
    view, unpacker = memoryview(data), Unpacker()
    chips: list[Encoded] = []
    for entry in pack.salvage(data):
        start = entry.offset + RECORD.size
        payload = view[start : start + entry.stored]
        try:
            unpacker.take(entry.codec, payload, entry.raw, entry.digest, part)
        except DigestMismatch:
            break
        chips.append(Encoded(entry.digest, entry.codec, entry.raw, payload))
    return chips

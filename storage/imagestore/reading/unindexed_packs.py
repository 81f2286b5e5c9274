"""Needed chips that packs hold but the index lacks: a lost index is rewritten from these."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format import damage_marks, pack
from storage.imagestore.format.codec import BASES, LEANING, Unpacker
from storage.imagestore.format.index import U1, U8, Flags, Table, distinct, joined_by_size, member, merge, table_of
from storage.imagestore.format.pack import RECORD, Contents, Entry, object_name
from storage.imagestore.reading.pins import read_pins
from storage.imagestore.reading.view import View
from storage.protocols import ObjectStore
from storage.transfer.threads import in_order

SEGMENT_CHIPS = 1 << 20  # a lost index is rebuilt in segments of about this many: 70 MB
WORKERS = 8
AHEAD = 32  # trailers read ahead, 20 KB each


def in_segments(tables: Iterable[Table]) -> Iterator[Table]:
    """Join tables into segments that fit into memory."""
    found: tuple[Table, ...] = ()
    for table in tables:
        found = joined_by_size((*found, table))
        if sum(map(len, found)) >= SEGMENT_CHIPS:
            yield merge(found)
            found = ()
    if found:
        yield merge(found)


def needed_loose(objects: ObjectStore, view: View) -> Iterator[Table]:
    """Yield the needed chips that the index lacks, a table for each pack that has some.

    Packs that no segment names are searched first. The others are read only if chips are still missing: a pack may be
    named in several parts of an index, some of them lost. If a manifest can't be read, all chips count as needed. Bases
    of needed chips are needed as well, including those found only now.
    """
    there = pack.sizes(objects)  # before the landings: a journal names a pack before it exists
    pins, own = read_pins(objects), _Own(view)
    leaning = view.leaning_packs()
    needed = distinct(np.concatenate([pins.keys, leaned_on(objects, leaning)]))
    while True:
        yield from _found(objects, there.keys() - pins.packs, needed, own, everything=bool(pins.unread))
        more = own.view.leaning_packs() - leaning
        if not more:
            return
        leaning, needed = leaning | more, leaned_on(objects, more)


def _found(
    objects: ObjectStore, there: AbstractSet[bytes], needed: U8, own: "_Own", *, everything: bool
) -> Iterator[Table]:
    """Yield the chips of these packs that `own` lacks, if any of them is needed."""
    named = own.view.packs()
    whole = needed[own.view.known(needed) & ~member(own.view.condemned, needed)]
    if len(whole) == len(needed) and not everything:
        return
    yield from own.take(
        _tables(objects, there - named),
        lambda table: ~own.view.usable(table.digests),
        lambda table: member(needed, table.keys) | everything,
    )
    lacking = needed[~own.view.known(needed)]
    lacking = lacking[~member(damage_marks.keys(objects), lacking)]  # these are known to be nowhere
    everything = everything and bool(own.view.unreadable)
    if len(lacking) or everything:
        yield from own.take(
            _tables(objects, there & named),
            lambda table: ~own.view.known(table.keys),
            lambda table: member(lacking, table.keys) | everything,
        )


def leaned_on(objects: ObjectStore, packs: Iterable[bytes]) -> U8:
    """Return the sorted keys of the bases of the chains in these packs. A missing pack has none."""

    def read(name: bytes) -> U8:
        try:
            return read_or_scan(objects, name).leans_on
        except ObjectMissing:
            return np.zeros(0, np.uint64)

    found = in_order(read, sorted(packs), workers=WORKERS, room=AHEAD)
    return distinct(np.concatenate([np.zeros(0, np.uint64), *found]))


def leaning_on(objects: ObjectStore, view: View, keys: U8) -> Iterator[U1]:
    """Yield, for each pack that leans on these keys, its chips that lean on others. keys: sorted.

    At least one of the chips yielded for a pack leans on the keys.
    """
    leaning = view.leaning_packs() if len(keys) else set[bytes]()
    bearing = {name for name in leaning if member(keys, leaned_on(objects, [name])).any()}
    for table in view.tables:
        numbers = [number for number, name in enumerate(table.packs) if name.tobytes() in bearing]
        yield table.digests[table.leaning & np.isin(table.pack, numbers)]


class _Own:
    """A view that grows with the chips found."""

    def __init__(self, view: View) -> None:
        self._given, self._found = view, tuple[Table, ...]()
        self.view = view

    def take(
        self, tables: Iterable[Table], lacking: Callable[[Table], Flags], needed: Callable[[Table], Flags]
    ) -> Iterator[Table]:
        """Yield from each table the missing chips, if any of them is needed."""
        for table in tables:
            rows = lacking(table)
            if (rows & needed(table)).any():
                part = table.take(np.flatnonzero(rows))
                self._found = joined_by_size((*self._found, part))
                self.view = self._given.with_own(self._found)
                yield part


def _tables(objects: ObjectStore, packs: Iterable[bytes]) -> Iterator[Table]:
    def read(name: bytes) -> Table:
        try:
            return table_of([(name, read_or_scan(objects, name).entries)])
        except ObjectMissing:  # its landing was discarded meanwhile
            return table_of(())

    return in_order(read, sorted(packs), workers=WORKERS, room=AHEAD)


def read_or_scan(objects: ObjectStore, name: bytes) -> Contents:
    """Return a pack's contents from its trailer, or from its undamaged records if the trailer is damaged."""
    try:
        return pack.read_contents(objects, name)
    except DigestMismatch:
        data, unpacker = objects.get(object_name(name)), Unpacker()
        entries = [entry for entry in pack.salvage(data) if _whole(data, entry, unpacker)]
        bases = [bytes(_payload(data, entry)) for entry in entries if entry.codec == BASES]
        return Contents(entries, pack.keys_of_bases(bases))


def _payload(data: bytes, entry: Entry) -> memoryview:
    start = entry.offset + RECORD.size
    return memoryview(data)[start : start + entry.stored]


def _whole(data: bytes, entry: Entry, unpacker: Unpacker) -> bool:
    """Tell whether a record is undamaged. A leaning chip is accepted as it is: reading it proves it."""
    if entry.codec >= LEANING:
        return True
    payload = _payload(data, entry)
    try:
        unpacker.take(entry.codec, payload, entry.raw, entry.digest, "")
    except DigestMismatch:
        return False
    return True

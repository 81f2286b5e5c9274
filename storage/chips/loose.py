"""Packs that no index names though manifests need chips of theirs: an index that was lost is written anew from them."""

from collections.abc import Iterator

from catalog.errors import DigestMismatch, ObjectMissing
from storage.chips import pack
from storage.chips.codec import Unpacker
from storage.chips.index import Table, joined_by_size, member, merge, table_of
from storage.chips.pack import RECORD, Entry, object_name
from storage.chips.pins import read_pins
from storage.chips.publish import packs_in
from storage.chips.store import ChipStore

SEGMENT_CHIPS = 1 << 20  # a lost index comes back in segments of about so many: 70 MB


def adopt_loose(chips: ChipStore) -> int:
    """Index loose packs that hold chips which manifests need and the index lacks; return how many packs."""
    found: tuple[Table, ...] = ()
    adopted = 0
    for table in needed_loose(chips):
        found = joined_by_size((*found, table))
        adopted += 1
        if sum(map(len, found)) >= SEGMENT_CHIPS:
            chips.add_segment(merge(found))
            found = ()
    if found:
        chips.add_segment(merge(found))
    return adopted


def needed_loose(chips: ChipStore) -> Iterator[Table]:
    """Yield the tables of the packs that `adopt_loose` would index."""
    there = pack.sizes(chips.objects)
    pins = read_pins(chips.objects)
    view = chips.load_view()
    found: tuple[Table, ...] = ()
    for name in sorted(there.keys() - pins.packs - packs_in(view)):
        try:
            table = table_of([(name, read_or_scan(chips, name))])
        except ObjectMissing:
            continue  # its landing was discarded meanwhile
        if (member(pins.keys, table.keys) & ~view.with_own(found).usable(table.digests)).any():
            found = joined_by_size((*found, table))
            yield table


def read_or_scan(chips: ChipStore, name: bytes) -> list[Entry]:
    """Return a pack's entries from its trailer, or from its undamaged records if the trailer is damaged."""
    try:
        return pack.read_entries(chips.objects, name)
    except DigestMismatch:
        data, unpacker = chips.objects.get(object_name(name)), Unpacker()
        return [entry for entry in pack.salvage(data) if _whole(data, entry, unpacker)]


def _whole(data: bytes, entry: Entry, unpacker: Unpacker) -> bool:
    start = entry.offset + RECORD.size
    payload = memoryview(data)[start : start + entry.stored]
    try:
        unpacker.take(entry.codec, payload, entry.raw, entry.digest, "")
    except DigestMismatch:
        return False
    return True

"""Packs that no index names: an index that was lost is written anew from the packs themselves."""

from catalog.errors import DigestMismatch, ObjectMissing
from storage.chips import pack
from storage.chips.codec import Unpacker
from storage.chips.index import table_of
from storage.chips.pack import RECORD, Entry, object_name, pack_of
from storage.chips.pins import read_pins
from storage.chips.publish import packs_in
from storage.chips.reclaim_plan import member
from storage.chips.store import ChipStore

PACKS_AT_ONCE = 4096


def adopt_loose(chips: ChipStore) -> int:
    """Index loose packs that hold chips which manifests need and the index lacks; return how many packs."""
    names = {pack_of(info.name) for info in chips.objects.list("packs/")}
    pins = read_pins(chips.objects)
    loose = sorted(names - pins.packs - packs_in(chips.load_view()))
    adopted = 0
    for name in loose:
        try:
            table = table_of([(name, read_or_scan(chips, name))])
        except ObjectMissing:
            continue  # its landing was discarded meanwhile
        lacking = member(pins.keys, table.keys) & ~chips.load_view().usable(table.digests)
        if lacking.any():
            chips.add_segment(table)
            adopted += 1
    return adopted


def rebuild_index(chips: ChipStore) -> int:
    """Index every pack that the index lacks, whoever it belonged to; return how many. For an index that was lost."""
    known = packs_in(chips.load_view())
    loose = [n for info in chips.objects.list("packs/") if (n := pack_of(info.name)) not in known]
    for first in range(0, len(loose), PACKS_AT_ONCE):
        some = loose[first : first + PACKS_AT_ONCE]
        chips.add_segment(table_of([(name, read_or_scan(chips, name)) for name in some]))
    return len(loose)


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

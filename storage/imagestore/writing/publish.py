"""Publish the chips of a finished landing, and end a landing."""

import numpy as np

from catalog.errors import StaleLanding
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import damage_marks, index, pack
from storage.imagestore.format.finished import Finished
from storage.imagestore.format.index import Table
from storage.imagestore.format.journal import Journal, folder
from storage.imagestore.reading.view import View


def publish_chips(chips: ChipStore, landing_id: str, landing: Finished) -> int:
    """Index the landing's packs, without those whose chips others published meanwhile.

    Returns the number of new stored bytes. Safe to repeat. The landing's journal pins all chips relied on here.
    Raises StaleLanding if the landing was discarded or taken over.
    """
    while True:
        view = chips.load_view()
        # After the view: discarding a landing deletes its journal first, then takes the next number.
        if not alive(chips, landing_id, landing):
            raise StaleLanding(landing_id)
        kept = _packs_needed(view, landing.table)
        fresh = _of_packs(landing.table, kept)
        if not len(fresh) or chips.objects.create(index.name_of(view.sequence + 1), index.encode(fresh)):
            break
    damage_marks.clear_stored_again(chips.objects, fresh.digests)
    names = [name.tobytes() for name in landing.table.packs]
    indexed = view.packs() | {names[number] for number in kept}  # the owner of a number has seen all earlier segments
    ours = [number for number, name in enumerate(names) if name in indexed]
    _drop_packs(chips, set(names) - indexed)
    return int(landing.table.stored[np.isin(landing.table.pack, ours)].sum(dtype=np.uint64))


def alive(chips: ChipStore, landing_id: str, landing: Finished) -> bool:
    """Tell whether the landing is still the one that was finished."""
    return Journal(chips.objects, landing_id).read().writer == landing.writer


def _packs_needed(view: View, table: Table) -> set[int]:
    """Return the numbers of the packs with a chip that the store lacks; an indexed pack is not needed again."""
    if not len(table):
        return set()
    lacking = set(np.unique(table.pack[~view.usable(table.digests)]).tolist())
    indexed = view.packs()
    return {n for n in lacking if table.packs[n].tobytes() not in indexed}


def _of_packs(table: Table, numbers: set[int]) -> Table:
    return table.take(np.isin(table.pack, sorted(numbers))) if numbers else index.EMPTY


def _drop_packs(chips: ChipStore, names: set[bytes]) -> None:
    """Delete packs of a landing that are in no index, and never will be."""
    for name in names:
        chips.objects.delete(pack.object_name(name))


def remove(chips: ChipStore, landing_id: str) -> None:
    """Delete a published landing, whose pins its manifest takes over. The journal goes last, all its pieces at once."""
    log = Journal(chips.objects, landing_id)
    for info in list(chips.objects.list(f"{folder(landing_id)}/")):
        if not info.name.startswith(log.name):
            chips.objects.delete(info.name)
    log.delete()


def discard(chips: ChipStore, landing_id: str) -> None:
    """Delete a landing and its packs, except indexed ones, which are left to reclaim."""
    if next(chips.objects.list(f"{folder(landing_id)}/"), None) is None:  # nothing was begun: most landings are new
        return
    journal = Journal(chips.objects, landing_id)
    kept = journal.read()
    names = set(kept.packs)
    journal.delete()
    remove(chips, landing_id)
    if names:
        # A slow process that is publishing this landing loses the race for this number, and sees that it is gone.
        chips.add_segment(index.EMPTY)
        if kept.done:  # an image of it may exist whose part of the index was lost
            chips.restore_index()
        _drop_packs(chips, names - chips.load_view().packs())

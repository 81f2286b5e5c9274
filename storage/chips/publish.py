"""From a finished landing to chips that everybody sees, and the end of a landing."""

import numpy as np

from storage.chips import finished, index, pack
from storage.chips.finished import Finished
from storage.chips.index import Table
from storage.chips.journal import Journal, folder
from storage.chips.store import ChipStore
from storage.chips.view import View


def publish_chips(chips: ChipStore, landing: Finished) -> int:
    """Index the landing's packs, leaving out those whose chips somebody else published meanwhile.

    Returns the stored bytes that are new. Safe to repeat. The landing's journal pins all chips relied on here.
    """
    while True:
        view = chips.load_view()
        kept = _packs_needed(view, landing.table)
        fresh = _of_packs(landing.table, kept)
        if not len(fresh) or chips.objects.create(index.name_of(view.sequence + 1), index.encode(fresh)):
            break
    _drop_packs(chips, landing.table)
    return int(landing.table.stored[np.isin(landing.table.pack, sorted(kept))].sum(dtype=np.uint64))


def _packs_needed(view: View, table: Table) -> set[int]:
    """Return the numbers of the packs with a chip that the store lacks; an indexed pack is not needed again."""
    if not len(table):
        return set()
    lacking = set(np.unique(table.pack[~view.usable(table.digests)]).tolist())
    indexed = packs_in(view)
    return {n for n in lacking if table.packs[n].tobytes() not in indexed}


def _of_packs(table: Table, numbers: set[int]) -> Table:
    return table.take(np.isin(table.pack, sorted(numbers))) if numbers else index.EMPTY


def packs_in(view: View) -> set[bytes]:
    """Return the names of all packs that the index knows."""
    return {name.tobytes() for table in view.tables for name in table.packs}


def _drop_packs(chips: ChipStore, table: Table) -> None:
    """Delete packs of a landing that nobody can know: they are in no index."""
    names = {name.tobytes() for name in table.packs}
    for name in names - packs_in(chips.load_view()) if names else ():
        chips.objects.delete(pack.object_name(name))


def remove(chips: ChipStore, landing_id: str) -> None:
    """Delete a published landing; what it pinned is pinned by the manifest."""
    for info in list(chips.objects.list(f"{folder(landing_id)}/")):
        chips.objects.delete(info.name)


def discard(chips: ChipStore, landing_id: str) -> None:
    """Delete a landing and its packs, unless they are in the index already: those are left to reclaim."""
    names = set(Journal(chips.objects, landing_id).read().packs)
    done = finished.read(chips.objects, landing_id)
    if done is not None:
        names.update(name.tobytes() for name in done.table.packs)
    for name in names - packs_in(chips.load_view()) if names else ():
        chips.objects.delete(pack.object_name(name))
    remove(chips, landing_id)

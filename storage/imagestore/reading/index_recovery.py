"""Damaged or missing parts of an index are rewritten from the packs by the first process that meets them.

This runs beside adds and other recoveries: only needed chips are indexed, as in a reclaim, and in a new segment, so
that no name is used twice. During a reclaim nothing is written, since its verdict would not cover it: the recovered
chips are kept in memory, and the reclaim rewrites the index itself.
"""

import logging
from collections.abc import Iterable

from catalog.errors import CapacityExceeded, StorageRefused
from storage.imagestore.format import epochs, index
from storage.imagestore.format.index import Table
from storage.imagestore.reading.unindexed_packs import in_segments, needed_loose
from storage.imagestore.reading.view import View
from storage.protocols import ObjectStore

LOG = logging.getLogger(__name__)


def write_anew(objects: ObjectStore, view: View, tables: Iterable[Table]) -> bool:
    """Add tables to the index, then delete its damaged segments; return False if that is impossible now."""
    if view.reclaiming:
        return False
    sequence, added = view.sequence, list[str]()
    try:
        # At least one, even if empty: the number of a deleted segment must not be used again.
        for table in [*in_segments(tables), index.EMPTY]:
            if len(table) or (view.unreadable and not added):
                sequence = _add(objects, sequence + 1, table)
                added.append(index.name_of(sequence))
        if epochs.newest(objects) != view.epoch:  # begun meanwhile; it may have judged without the added tables
            _delete(objects, added)
            return False
        _delete(objects, view.unreadable)
    except (CapacityExceeded, StorageRefused) as error:
        LOG.warning("%s: its index is rebuilt in memory only: %s", objects.location, error)
        return False
    return True


def found_again(objects: ObjectStore, view: View) -> tuple[Table, ...]:
    """Return the needed chips that damaged and lost segments named, read from the packs."""
    tables = tuple(needed_loose(objects, view))
    if tables or view.unreadable:
        which = f"{', '.join(view.unreadable)} damaged" if view.unreadable else "segments lost"
        count = sum(map(len, tables))
        LOG.warning("%s: %s; %s chips found again in %s packs", objects.location, which, count, len(tables))
    return tables


def _add(objects: ObjectStore, sequence: int, table: Table) -> int:
    data = index.encode(table)
    while not objects.create(index.name_of(sequence), data):
        sequence += 1
    return sequence


def _delete(objects: ObjectStore, names: Iterable[str]) -> None:
    for name in names:
        objects.delete(name)

"""Carry out a verdict: needed chips move to new packs, the index is rewritten, then the old objects are deleted.

The parts of the new index have fixed names and are created exclusively: of two concurrent sweeps, one writes a part;
the packs that the other wrote in vain are loose, and the next reclaim frees them.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StorageError
from catalog.records import ItemOutcome
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import damage_marks, epochs, index
from storage.imagestore.format.index import Table, member
from storage.imagestore.format.pack import object_name
from storage.imagestore.format.verdict import Verdict
from storage.imagestore.reading.index_recovery import found_again
from storage.imagestore.writing.packer import Packer
from storage.imagestore.writing.stored_records import stream_records

PART_CHIPS = 1 << 20  # chips in one part of the new index: 60 MB
FOLDER = "sweeps/"


def sweep(chips: ChipStore, epoch: int, verdict: Verdict) -> tuple[ItemOutcome, ...]:
    """Carry out the verdict. Safe to repeat and to run twice at once. Returns the packs that had to stay, and why."""
    parts = [index.part_name(verdict.scope.sequence, epoch, n) for n in range(verdict.scope.parts)]
    failed: tuple[ItemOutcome, ...] = ()
    if any(chips.objects.size(name) is None for name in parts):
        try:
            failed = _write_parts(chips, epoch, verdict, parts)
        except ObjectMissing:  # a segment was deleted: another process finished all parts
            if any(chips.objects.size(name) is None for name in parts):
                raise
    _delete_old(chips, verdict, parts)
    return failed


def _write_parts(chips: ChipStore, epoch: int, verdict: Verdict, parts: list[str]) -> tuple[ItemOutcome, ...]:
    tables = _segments(chips, epoch, verdict, parts)
    needed: list[Table] = []
    for number in range(len(parts)):
        going, _ = _split(key_range(tables, number, len(parts)), verdict.packs)
        needed.append(going.take(~member(verdict.condemned, going.keys)))
    moved, stuck, failed = _move(chips, epoch, index.merge(needed))
    for number, name in enumerate(parts):
        _, staying = _split(key_range(tables, number, len(parts)), verdict.packs)
        part = index.merge([key_range([moved, stuck], number, len(parts)), staying])
        chips.objects.create(name, index.encode(part))
    return failed


def _segments(chips: ChipStore, epoch: int, verdict: Verdict, parts: list[str]) -> list[Table]:
    """Return the index that the verdict is about; its unreadable parts are rebuilt from the packs.

    Raises ObjectMissing if segments are gone because another process finished all parts.
    """
    tables, whole = chips.readable_segments(verdict.scope.segments)
    if whole:
        return tables
    finished = all(chips.objects.size(name) is not None for name in parts)
    if finished or epochs.newest(chips.objects) != epoch:
        raise ObjectMissing(f"{chips.objects.location}/{verdict.scope.segments[0]}")
    view = replace(chips.view_as_it_is(), tables=tuple(tables), unreadable=verdict.scope.segments)
    return [*tables, *found_again(chips.objects, view)]


def _move(chips: ChipStore, epoch: int, rows: Table) -> tuple[Table, Table, tuple[ItemOutcome, ...]]:
    """Write chips into new packs, proven; return their new places, those of damaged ones, and the failures."""
    sealed: list[Table] = []
    leaning = bool(chips.load_view().leaning_packs())
    packer = Packer(
        chips.objects,
        f"{FOLDER}{epoch}-{uuid4().hex}",
        chips.parameters.pack_bytes,
        lambda _: None,
        sealed.append,
        leaning=leaning,
    )
    lost: dict[bytes, StorageError] = {}
    try:
        for batch in stream_records(chips, chips.objects, rows.digests, leaning=leaning):
            packer.add(batch.chips)
            lost.update(batch.lost)
        packer.close_part()
        packer.wait()
    finally:
        packer.stop()
    # A damaged chip stays where it is, and no other image relies on it; of a missing one nothing is left to keep, and
    # an add of the same bytes stores it again.
    damaged = {digest for digest, error in lost.items() if isinstance(error, DigestMismatch)}
    for digest in lost:
        damage_marks.mark(chips.objects, digest)
    stuck = np.array([digest.tobytes() in damaged for digest in rows.digests], dtype=np.bool_)
    return index.merge(sealed), rows.take(stuck), tuple(_failure(d, error) for d, error in lost.items())


def _failure(digest: bytes, error: StorageError) -> ItemOutcome:
    return ItemOutcome(subject=f"chip {digest.hex()}", outcome="failed", reason=str(error))


def _split(table: Table, packs: frozenset[bytes]) -> tuple[Table, Table]:
    """Return the rows in these packs, and the others."""
    inside = np.array([name.tobytes() in packs for name in table.packs], dtype=np.bool_)
    rows = inside[table.pack] if len(table.packs) else np.zeros(0, dtype=np.bool_)
    return table.take(rows), table.take(~rows)


def key_range(tables: Sequence[Table], number: int, parts: int) -> Table:
    """Return the rows of part `number` of `parts`: keys are digests, so equal ranges are about equally full."""
    width = -(-(1 << 64) // parts)
    rows: list[Table] = []
    for table in tables:
        first = int(np.searchsorted(table.keys, np.uint64(number * width)))
        stop = int(np.searchsorted(table.keys, np.uint64((number + 1) * width))) if number + 1 < parts else None
        rows.append(table.take(np.arange(first, len(table) if stop is None else stop)))
    return index.merge(rows)


def _delete_old(chips: ChipStore, verdict: Verdict, parts: list[str]) -> None:
    """Delete what the parts replaced; a pack that they still name stays."""
    tables, whole = chips.readable_segments(parts)
    if not whole:  # replaced by a later epoch, which began after these deletions; or damaged: nothing may be deleted
        return
    named = {name.tobytes() for table in tables for name in table.packs}
    for name in verdict.scope.segments:
        if name not in parts:  # an epoch that was judged again finds its own parts
            chips.objects.delete(name)
    for pack_name in verdict.packs - named:
        chips.objects.delete(object_name(pack_name))
    for info in list(chips.objects.list(FOLDER)):
        chips.objects.delete(info.name)

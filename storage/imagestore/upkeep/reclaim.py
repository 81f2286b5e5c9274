"""Giving back the space of chips that nothing needs, beside running adds, without clocks or locks.

1. plan: packs without needed chips go, sparse ones are written anew;
2. create the epoch, exclusively, naming what is condemned: every adder that has not pinned by now will see it;
3. only then read the pins, landings before manifests, and settle the verdict once: what is pinned is spared;
4. sweep: write needed chips anew, then the index, then delete old segments and packs;
5. note that the epoch is done. A reclaim that finds an unfinished epoch finishes it first.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

import numpy as np

from catalog.records import ItemOutcome, ReclaimReport
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import epochs, pack, verdict
from storage.imagestore.format.epochs import Condemned
from storage.imagestore.format.index import I8, U1, U8, Table, distinct, let_go, member
from storage.imagestore.format.pack import object_name
from storage.imagestore.format.parameters import keep_copy
from storage.imagestore.format.verdict import Scope, Verdict
from storage.imagestore.reading.manifests import Unreadable
from storage.imagestore.reading.pins import landing_ids, read_pins
from storage.imagestore.reading.unindexed_packs import leaned_on, needed_loose
from storage.imagestore.reading.view import View
from storage.imagestore.upkeep import sweep
from storage.imagestore.upkeep.reclaim_plan import SPARSE, PackPlan, Places, plan_reclaim
from storage.imagestore.writing.publish import discard

BUSY = (ItemOutcome(subject="reclaim", outcome="pending", reason="another reclaim is at work"),)
MANY_SEGMENTS = 64  # from here on a reclaim joins them even if nothing is condemned


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What a reclaim knows before it decides.

    packs: names (p, 32) in the plan's order; sizes: bytes of each pack there is; loose: packs that nobody names;
    unread: errors of manifests of which can't be told what they need. epoch: the newest one then; reclaiming: it was under way.
    """

    packs: U1
    plan: PackPlan
    sizes: dict[bytes, int]
    loose: frozenset[bytes]
    segments: int
    epoch: int
    reclaiming: bool
    unread: tuple[Unreadable, ...] = ()

    def names(self, numbers: I8) -> frozenset[bytes]:
        """Return the names of packs by their numbers."""
        return frozenset(self.packs[n].tobytes() for n in numbers)


def reclaim(
    chips: ChipStore,
    storage: str,
    keep_landings: AbstractSet[str] | None = None,
    *,
    plan_only: bool = False,
    sparse_below: float = SPARSE,
) -> ReclaimReport:
    """Free what no manifest and no landing needs; see the module.

    keep_landings: ids of landings that may go on, all others are discarded; None: all may. sparse_below: packs are written anew
    with less than this fraction in use. Where a manifest can't be read, what it needs can't be told: landings are discarded, and no chip goes.
    """
    gone = frozenset(landing_ids(chips.objects)) - keep_landings if keep_landings is not None else frozenset()
    if not plan_only:
        finish_interrupted(chips)
        for landing_id in gone:
            discard(chips, landing_id)
        chips.restore_index()
        keep_copy(chips.objects)
    # What a reclaim would index first is not loose in its plan either.
    lacking = _pack_names(needed_loose(chips.objects, chips.view_as_it_is())) if plan_only else frozenset()
    found = survey(chips, gone, lacking, sparse_below)
    if found.unread:
        return ReclaimReport(image_storage=storage, items=(*_discarded(gone), *_unread(found.unread)))
    failed = () if plan_only else _apply(chips, found)
    return ReclaimReport(
        image_storage=storage,
        items=(*_outcomes(found, gone), *failed),
        bytes_freed=found.plan.bytes_freed + sum(found.sizes[name] for name in found.loose),
        chips_kept=found.plan.chips_kept,
        chips_freed=found.plan.chips_freed,
    )


def _pack_names(tables: Iterable[Table]) -> frozenset[bytes]:
    return frozenset(name.tobytes() for table in tables for name in table.packs)


def survey(
    chips: ChipStore,
    gone: frozenset[str] = frozenset(),
    lacking: frozenset[bytes] = frozenset(),
    sparse_below: float = SPARSE,
) -> Survey:
    """Look at everything. gone: landings that count no more; lacking: packs that are to be indexed; sparse_below: see `reclaim`."""
    # Packs are listed before landings are read: a pack is named in a journal before it exists.
    sizes = pack.sizes(chips.objects)
    pins = read_pins(chips.objects, gone)
    view = chips.load_view()
    packs, places = _places(view.tables)
    names = [name.tobytes() for name in packs]
    in_order = np.array([sizes.get(name, 0) for name in names], dtype=np.int64)
    planner = partial(
        plan_reclaim, places, in_order, small_bytes=chips.parameters.pack_bytes // 2, sparse_below=sparse_below
    )
    plan = _planned(chips, view, names, pins.keys, planner)
    loose = frozenset(sizes) - frozenset(names) - pins.packs - lacking
    epoch = max(view.epoch, view.newest_part)  # also if its note was lost
    return Survey(packs, plan, sizes, loose, len(view.segments), epoch, view.reclaiming, pins.unread)


def _planned(
    chips: ChipStore, view: View, names: Sequence[bytes], pinned: U8, planner: Callable[[U8], PackPlan]
) -> PackPlan:
    """Plan with what chains lean on counted as needed, unless all of a pack's chips go. planner: plans by the keys needed.

    A pack that is written anew counts as leaning, too: the second plan then drops at least what the first one dropped.
    """
    leaning = view.leaning_packs()
    if not leaning:
        return planner(pinned)
    needed = distinct(np.concatenate([pinned, leaned_on(chips.objects, leaning)]))
    dropped = {names[number] for number in planner(needed).drop}
    needed = distinct(np.concatenate([pinned, leaned_on(chips.objects, leaning - dropped)]))
    return planner(needed)


def _places(tables: Sequence[Table]) -> tuple[U1, Places]:
    """Return the names of all packs, and for each chip the place that counts; a range of keys at a time."""
    packs = np.unique(np.concatenate([np.zeros((0, 32), np.uint8), *(t.packs for t in tables)]), axis=0)
    numbers = {name.tobytes(): n for n, name in enumerate(packs)}
    parts = 1 + sum(map(len, tables)) // sweep.PART_CHIPS
    slim: list[Places] = []
    for number in range(parts):
        rows = sweep.key_range(tables, number, parts)
        global_number = np.array([numbers[name.tobytes()] for name in rows.packs], dtype=np.uint32)
        pack = global_number[rows.pack] if len(rows) else np.zeros(0, np.uint32)
        slim.append(Places(rows.keys, pack, rows.stored))
        let_go(tables)
    return packs, Places(
        np.concatenate([p.keys for p in slim]),
        np.concatenate([p.pack for p in slim]),
        np.concatenate([p.stored for p in slim]),
    )


def finish_interrupted(chips: ChipStore) -> None:
    """Carry out what a reclaim that died had begun."""
    newest = epochs.newest(chips.objects)
    if newest:
        _carry_out(chips, newest)
    for number in verdict.numbers(chips.objects):
        if number < newest or epochs.condemned(chips.objects, number) is None:
            chips.objects.delete(verdict.name_of(number))


def _apply(chips: ChipStore, found: Survey) -> tuple[ItemOutcome, ...]:
    """Do what a survey decided, unless another reclaim began since: what it moves and deletes was not seen then.

    So the epoch is the one after that of the survey. Its number may be free again once a later one is done: then ours is not
    the newest, nobody has looked at it, and it goes. While another reclaim is under way, its new packs are named nowhere yet.
    """
    if found.reclaiming:
        return BUSY
    for name in found.loose:
        chips.objects.delete(object_name(name))
    going = found.names(found.plan.drop) | found.names(found.plan.repack)
    if not going and found.segments < MANY_SEGMENTS:
        return ()
    epoch = 1 + found.epoch
    if not epochs.create(chips.objects, epoch, Condemned(going, found.plan.condemned)):
        return BUSY
    if epochs.newest(chips.objects) != epoch:
        chips.objects.delete(epochs.name_of(epoch))
        return BUSY
    return _carry_out(chips, epoch)


def _carry_out(chips: ChipStore, epoch: int) -> tuple[ItemOutcome, ...]:
    """Settle the verdict of an epoch unless that was done, sweep, note that it is done. Safe to repeat."""
    condemned = epochs.condemned(chips.objects, epoch)
    if condemned is None:
        return ()
    settled = verdict.read(chips.objects, epoch)
    if settled is None:
        judged = _judge(chips, condemned)
        if isinstance(judged, tuple):
            return tuple(_unread(judged))
        verdict.record_verdict(chips.objects, epoch, judged)
        settled = verdict.read(chips.objects, epoch)
    # No verdict at first may also mean that somebody else is done with the epoch and took it away.
    if settled is None or epochs.condemned(chips.objects, epoch) is None:
        return ()
    failed = sweep.sweep(chips, epoch, settled)
    epochs.finish(chips.objects, epoch)
    chips.objects.delete(verdict.name_of(epoch))
    return failed


def _judge(chips: ChipStore, condemned: Condemned) -> Verdict | tuple[Unreadable, ...]:
    """Take what is pinned out of what was condemned; the epoch exists, so whoever pins from now on knows it.

    Where manifests can't be read, their errors: the epoch waits until they are repaired or deleted.
    """
    pins = read_pins(chips.objects)
    if pins.unread and len(condemned.keys):
        return pins.unread
    view = chips.load_view()  # after the pins: what leans on chips is seen as a landing or in the index
    unneeded = condemned.packs - _packs_with(view, pins.keys)  # of the others chains may move as they are
    pinned = distinct(np.concatenate([pins.keys, leaned_on(chips.objects, view.leaning_packs() - unneeded)]))
    scope = Scope(
        segments=view.segments,
        sequence=view.sequence,
        parts=1 + sum(len(t) for t in view.tables) // sweep.PART_CHIPS,
        packs=len(condemned.packs),
    )
    return Verdict(condemned.packs, condemned.keys[~member(pinned, condemned.keys)], scope)


def _packs_with(view: View, keys: U8) -> set[bytes]:
    """Return the packs that have some of these chips, also where they lie elsewhere by now."""
    return {
        table.packs[number].tobytes()
        for table in view.tables
        for number in np.unique(table.pack[member(keys, table.keys)])
    }


def _discarded(gone: frozenset[str]) -> list[ItemOutcome]:
    return [ItemOutcome(subject=f"landing {i}", outcome="done", reason="nobody goes on with it") for i in gone]


def _unread(errors: Iterable[Unreadable]) -> list[ItemOutcome]:
    """Say which manifests stand in the way."""
    what = "no chips are freed until it is repaired from another replica (verify-replicas) or its image is expunged"
    return [
        ItemOutcome(subject="reclaim", outcome="failed", reason=f"{error}; what it needs can't be told: {what}")
        for error in errors
    ]


def _outcomes(found: Survey, gone: frozenset[str]) -> list[ItemOutcome]:
    """Say what happens to each landing and pack, and why."""
    items = _discarded(gone)
    reasons = [(name, "no index and no landing names it") for name in found.loose]
    reasons += [(name, "none of its chips is needed") for name in found.names(found.plan.drop)]
    reasons += [(name, "its needed chips move to another pack") for name in found.names(found.plan.repack)]
    for name, reason in reasons:
        size = found.sizes.get(name, 0)
        items.append(ItemOutcome(subject=f"pack {name.hex()}", outcome="done", bytes=size, reason=reason))
    return items

"""Free the space of chips that nothing needs, beside running adds, without clocks or locks.

1. plan: packs without needed chips go, sparse ones are rewritten;
2. create the epoch, exclusively, naming what is condemned: every add that has not pinned by now will see it;
3. only then read the pins, landings before manifests, and settle the verdict once: pinned chips are spared;
4. sweep: write needed chips anew, then the index, then delete old segments and packs;
5. record that the epoch is done. A reclaim that finds an unfinished epoch finishes it first.
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
from storage.imagestore.format.names import numbers
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
MANY_SEGMENTS = 64  # from this number on, a reclaim joins them even if nothing is condemned


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The state of a store before a reclaim decides.

    packs: names (p, 32) in the plan's order; sizes: bytes of each existing pack; loose: packs that nothing names;
    unread: errors of manifests whose needs are unknown. epoch: the newest one then; reclaiming: it was unfinished.
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

    keep_landings: ids of landings that may continue, all others are discarded; None: all may. sparse_below: packs with
    less than this fraction in use are rewritten. If a manifest can't be read, its needs are unknown: landings are
    discarded, and no chip is deleted.
    """
    gone = frozenset(landing_ids(chips.objects)) - keep_landings if keep_landings is not None else frozenset()
    if not plan_only:
        finish_interrupted(chips)
        for landing_id in gone:
            discard(chips, landing_id)
        chips.restore_index()
        keep_copy(chips.objects)
    # Packs that a reclaim would index first are not loose in its plan either.
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
    """Survey the whole store.

    gone: landings that no longer count; lacking: packs that are to be indexed; sparse_below: see `reclaim`.
    """
    # Packs are listed before landings are read: a journal names a pack before it exists.
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
    """Plan with bases counted as needed, unless all of a pack's chips go. planner: plans by the needed keys.

    A rewritten pack counts as leaning too, so the second plan drops at least what the first one dropped.
    """
    leaning = view.leaning_packs()
    if not leaning:
        return planner(pinned)
    needed = distinct(np.concatenate([pinned, leaned_on(chips.objects, leaning)]))
    dropped = {names[number] for number in planner(needed).drop}
    needed = distinct(np.concatenate([pinned, leaned_on(chips.objects, leaning - dropped)]))
    return planner(needed)


def _places(tables: Sequence[Table]) -> tuple[U1, Places]:
    """Return the names of all packs, and each chip's current place; processes one range of keys at a time."""
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
    """Finish an interrupted reclaim."""
    newest = epochs.newest(chips.objects)
    if newest:
        _carry_out(chips, newest)
    for number in numbers(chips.objects, verdict.PREFIX):
        if number < newest or epochs.condemned(chips.objects, number) is None:
            chips.objects.delete(verdict.name_of(number))


def _apply(chips: ChipStore, found: Survey) -> tuple[ItemOutcome, ...]:
    """Carry out a survey's decision, unless another reclaim began since: its moves and deletions were not seen then.

    The epoch therefore follows that of the survey. Its number may be free again once a later one is done: then ours is
    not the newest, no one has seen it, and it is removed. While another reclaim is running, nothing names its new packs
    yet.
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
    """Settle the verdict of an epoch if it has none, sweep, and record that it is done. Safe to repeat."""
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
    # A missing verdict may also mean that another process finished the epoch and removed it.
    if settled is None or epochs.condemned(chips.objects, epoch) is None:
        return ()
    failed = sweep.sweep(chips, epoch, settled)
    epochs.finish(chips.objects, epoch)
    chips.objects.delete(verdict.name_of(epoch))
    return failed


def _judge(chips: ChipStore, condemned: Condemned) -> Verdict | tuple[Unreadable, ...]:
    """Exclude the pinned chips from the condemned; the epoch exists, so later pins take it into account.

    If manifests can't be read, return their errors: the epoch waits until they are repaired or deleted.
    """
    pins = read_pins(chips.objects)
    if pins.unread and len(condemned.keys):
        return pins.unread
    view = chips.load_view()  # after the pins: whatever leans on chips is seen as a landing or in the index
    unneeded = condemned.packs - _packs_with(view, pins.keys)  # chains of the others may be moved unchanged
    pinned = distinct(np.concatenate([pins.keys, leaned_on(chips.objects, view.leaning_packs() - unneeded)]))
    scope = Scope(
        segments=view.segments,
        sequence=view.sequence,
        parts=1 + sum(len(t) for t in view.tables) // sweep.PART_CHIPS,
        packs=len(condemned.packs),
    )
    return Verdict(condemned.packs, condemned.keys[~member(pinned, condemned.keys)], scope)


def _packs_with(view: View, keys: U8) -> set[bytes]:
    """Return the packs that have some of these chips, even if they lie elsewhere by now."""
    return {
        table.packs[number].tobytes()
        for table in view.tables
        for number in np.unique(table.pack[member(keys, table.keys)])
    }


def _discarded(gone: frozenset[str]) -> list[ItemOutcome]:
    return [ItemOutcome(subject=f"landing {i}", outcome="done", reason="nobody goes on with it") for i in gone]


def _unread(errors: Iterable[Unreadable]) -> list[ItemOutcome]:
    """Report the manifests that block the reclaim."""
    what = "no chips are freed until it is repaired from another replica (verify-replicas) or its image is expunged"
    return [
        ItemOutcome(subject="reclaim", outcome="failed", reason=f"{error}; what it needs can't be told: {what}")
        for error in errors
    ]


def _outcomes(found: Survey, gone: frozenset[str]) -> list[ItemOutcome]:
    """Report what happens to each landing and pack, and why."""
    items = _discarded(gone)
    reasons = [(name, "no index and no landing names it") for name in found.loose]
    reasons += [(name, "none of its chips is needed") for name in found.names(found.plan.drop)]
    reasons += [(name, "its needed chips move to another pack") for name in found.names(found.plan.repack)]
    for name, reason in reasons:
        size = found.sizes.get(name, 0)
        items.append(ItemOutcome(subject=f"pack {name.hex()}", outcome="done", bytes=size, reason=reason))
    return items

"""Per-image locks that a dead holder can't keep, without clocks.

A lease row names the holder and a token that grows with every taking. Whoever takes a lease over does so because the
holder is known to be dead, never because time passed; and should it be alive after all, its token is old, so that
no change it makes under this lease is accepted any more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from catalog import kinds
from catalog.errors import ImageBusy
from catalog.records import Lease
from catalog.store import Store, Transaction

IsDead = Callable[[str], bool]
"""Told a holder; True only if it surely does nothing any more."""


@contextmanager
def held(store: Store, image_id: str, holder: str, is_dead: IsDead | None, now: datetime) -> Iterator[Lease]:
    """Hold the lease of an image for the block. Raises ImageBusy."""
    lease = _take(store, image_id, holder, is_dead, now)
    try:
        yield lease
    finally:
        _give_back(store, lease)


class Together(NamedTuple):
    """leases: by image id, those that were taken; busy: who holds the others, by image id."""

    leases: Mapping[str, Lease]
    busy: Mapping[str, str]


@contextmanager
def held_together(
    store: Store, image_ids: Sequence[str], holder: str, is_dead: IsDead | None, now: datetime
) -> Iterator[Together]:
    """Hold the leases of many images for the block, as many as are to be had: two transactions instead of two each."""
    with store.reading() as transaction:
        seen = {image_id: transaction.get(kinds.LEASE, (image_id,)) for image_id in image_ids}
    busy = {
        i: s.holder for i, s in seen.items() if s and s.holder and not _may_take(s.holder, holder, is_dead)
    }
    free = {i: s for i, s in seen.items() if i not in busy}
    with store.writing() as transaction:
        unchanged = {i: s for i, s in free.items() if transaction.get(kinds.LEASE, (i,)) == s}
        leases = {i: _write(transaction, i, s, holder, now) for i, s in unchanged.items()}
    busy |= {i: "somebody who was faster" for i in free if i not in leases}
    try:
        yield Together(leases, busy)
    finally:
        with store.writing() as transaction:
            for lease in leases.values():
                if transaction.get(kinds.LEASE, (lease.image_id,)) == lease:
                    transaction.update(kinds.LEASE, lease.model_copy(update={"holder": None}))


def _may_take(held_by: str, holder: str, is_dead: IsDead | None) -> bool:
    return held_by == holder or bool(is_dead and is_dead(held_by))


def _write(transaction: Transaction, image_id: str, seen: Lease | None, holder: str, now: datetime) -> Lease:
    token, created_at = (seen.token + 1, seen.created_at) if seen else (1, now)
    lease = Lease(image_id=image_id, holder=holder, token=token, created_at=created_at)
    if seen is None:
        transaction.insert(kinds.LEASE, lease)
    else:
        transaction.update(kinds.LEASE, lease)
    return lease


def _take(store: Store, image_id: str, holder: str, is_dead: IsDead | None, now: datetime) -> Lease:
    while True:
        with store.reading() as transaction:
            seen = transaction.get(kinds.LEASE, (image_id,))
        if seen and seen.holder not in (None, holder) and not (is_dead and is_dead(seen.holder)):
            raise ImageBusy(image_id, seen.holder)
        lease = Lease(
            image_id=image_id,
            holder=holder,
            token=seen.token + 1 if seen else 1,
            created_at=seen.created_at if seen else now,
        )
        # the holder was asked about outside of a transaction, where everybody else would wait for the answer
        if _exchanged(store, seen, lease):
            return lease


def _exchanged(store: Store, seen: Lease | None, lease: Lease) -> bool:
    """Write the lease if nobody took it since it was seen."""
    with store.writing() as transaction:
        if transaction.get(kinds.LEASE, (lease.image_id,)) != seen:
            return False
        if seen is None:
            transaction.insert(kinds.LEASE, lease)
        else:
            transaction.update(kinds.LEASE, lease)
        return True


def _give_back(store: Store, lease: Lease) -> None:
    """Free the lease unless it was taken over; the token stays, so that old ones stay old."""
    with store.writing() as transaction:
        if transaction.get(kinds.LEASE, (lease.image_id,)) == lease:
            transaction.update(kinds.LEASE, lease.model_copy(update={"holder": None}))


def require_current(transaction: Transaction, lease: Lease) -> None:
    """Raise ImageBusy if the lease was taken over."""
    current = transaction.get(kinds.LEASE, (lease.image_id,))
    if current != lease:
        raise ImageBusy(lease.image_id, (current.holder if current else None) or "nobody any more")

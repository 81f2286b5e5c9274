"""Per-image locks that a dead holder can't keep, without clocks.

A lease row names the holder and a token that grows with every taking. Whoever takes a lease over does so because the
holder is known to be dead, never because time passed; and should it be alive after all, its token is old, so that
no change it makes under this lease is accepted any more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

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

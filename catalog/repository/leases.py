"""Per-image locks, which can be taken over from a dead holder, without clocks.

A lease row has the holder and a token that grows each time the lease is taken. A lease is taken over only if its holder
is known to be dead, never because time passed. Should the holder be alive after all, its token is old, so no further
change under its lease is accepted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from catalog.errors import ImageBusy
from catalog.records import Lease
from catalog.store import record_kinds
from catalog.store.ballast import freeing_room
from catalog.store.protocol import Store, Transaction

PASSING = ("sync-", "cache:")
"""Prefixes of locks that belong to no image: their rows are deleted with their holders, others with their images."""
IsDead = Callable[[str], bool]
"""Tells whether a holder is dead; True only if that is certain."""


@contextmanager
def held(store: Store, image_id: str, holder: str, is_dead: IsDead | None, now: datetime) -> Iterator[Lease]:
    """Hold the lease of an image for the block. Raises ImageBusy."""
    with held_together(store, (image_id,), holder, is_dead, now) as together:
        if image_id in together.busy:
            raise ImageBusy(image_id, together.busy[image_id])
        yield together.leases[image_id]


class Together(NamedTuple):
    """leases: by image id, those that were taken; busy: who holds the others, by image id."""

    leases: dict[str, Lease]
    busy: dict[str, str]


@contextmanager
def held_together(
    store: Store, image_ids: Sequence[str], holder: str, is_dead: IsDead | None, now: datetime
) -> Iterator[Together]:
    """Hold the available leases among many images for the block, in two transactions instead of two for each."""
    together = Together({}, {})
    try:
        while left := [i for i in image_ids if i not in together.leases and i not in together.busy]:
            _take(store, left, holder, is_dead, now, together)
        yield together
    finally:
        if together.leases:
            _give_back(store, together.leases.values())


def _take(
    store: Store, image_ids: Sequence[str], holder: str, is_dead: IsDead | None, now: datetime, together: Together
) -> None:
    """Take the leases without a live holder; one that somebody took meanwhile is neither taken nor busy.

    Holders are checked outside of a transaction, which would make all other writers wait for the answers.
    """
    with store.reading() as transaction:
        seen = {image_id: transaction.get(record_kinds.LEASE, (image_id,)) for image_id in image_ids}
    for image_id, lease in seen.items():
        if lease and lease.holder and lease.holder != holder and not (is_dead and is_dead(lease.holder)):
            together.busy[image_id] = lease.holder
    free = {image_id: lease for image_id, lease in seen.items() if image_id not in together.busy}
    if not free:
        return
    with store.writing() as transaction:
        unchanged = {i: lease for i, lease in free.items() if transaction.get(record_kinds.LEASE, (i,)) == lease}
        taken = {i: _write(transaction, i, lease, holder, now) for i, lease in unchanged.items()}
    together.leases.update(taken)


def _write(transaction: Transaction, image_id: str, seen: Lease | None, holder: str, now: datetime) -> Lease:
    token, created_at = (seen.token + 1, seen.created_at) if seen else (1, now)
    lease = Lease(image_id=image_id, holder=holder, token=token, created_at=created_at)
    if seen is None:
        transaction.insert(record_kinds.LEASE, lease)
    else:
        transaction.update(record_kinds.LEASE, lease)
    return lease


def _give_back(store: Store, leases: Iterable[Lease]) -> None:
    """Release leases unless they were taken over; the tokens stay, so that older ones remain fenced off."""
    with freeing_room(), store.writing() as transaction:
        for lease in leases:
            _free(transaction, lease)


def _free(transaction: Transaction, lease: Lease) -> None:
    if transaction.get(record_kinds.LEASE, (lease.image_id,)) != lease:
        return
    if lease.image_id.startswith(PASSING):  # an old holder's lease differs from a new row in holder and moment
        transaction.delete(record_kinds.LEASE, (lease.image_id,))
    else:
        transaction.update(record_kinds.LEASE, lease.model_copy(update={"holder": None}))


def forget(store: Store, leases: Sequence[Lease], is_dead: IsDead) -> int:
    """Remove those leases that have neither a live holder nor an image in the catalog; return how many."""
    with store.reading() as transaction:
        ownerless = [lease for lease in leases if not _has_image(transaction, lease)]
    dead = [lease for lease in ownerless if lease.holder is None or is_dead(lease.holder)]
    with store.writing() as transaction:
        still = [lease for lease in dead if _is_still(transaction, lease)]
        for lease in still:
            transaction.delete(record_kinds.LEASE, (lease.image_id,))
    return len(still)


def _is_still(transaction: Transaction, lease: Lease) -> bool:
    unchanged = transaction.get(record_kinds.LEASE, (lease.image_id,)) == lease
    return unchanged and not _has_image(transaction, lease)


def _has_image(transaction: Transaction, lease: Lease) -> bool:
    """Tell whether the row belongs to an existing image, with which it is deleted."""
    if lease.image_id.startswith(PASSING):
        return False
    return transaction.get(record_kinds.IMAGE, (lease.image_id.removeprefix("export:"),)) is not None


def require_current(transaction: Transaction, lease: Lease) -> None:
    """Raise ImageBusy if the lease was taken over."""
    current = transaction.get(record_kinds.LEASE, (lease.image_id,))
    if current != lease:
        raise ImageBusy(lease.image_id, (current.holder if current else None) or "another run")

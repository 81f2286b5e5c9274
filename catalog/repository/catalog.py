"""The catalog: reading, and changes, each in one transaction."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from datetime import datetime
from typing import Self

from catalog.log.difference import Difference, difference
from catalog.log.entries import Acting
from catalog.log.snapshot import Snapshot
from catalog.records import Door, Lease, Outcome
from catalog.repository.bandwidth import Slice, next_slice
from catalog.repository.change import Change
from catalog.repository.leases import IsDead, Together, forget, held, held_together, require_current
from catalog.repository.outcomes import keep_outcome
from catalog.repository.reading.reading import Reading
from catalog.store import record_kinds
from catalog.store.protocol import Store


class Catalog(Reading):
    """The catalog. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, store: Store, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__(store.reading, clock or self._now_of_store, store.page_size)
        self._store, self._given = store, clock
        self._door: Door | None = None

    def _now_of_store(self) -> datetime:
        with self._store.reading() as transaction:
            return transaction.now()

    def on_behalf_of(self, identity: str | None, door: Door | None) -> Self:
        """Return the same catalog with changes logged as this identity's, by this door.

        An account then sees images by the projects of the identity, see `viewer`.
        """
        other = copy(self)
        other._identity, other._door = identity, door  # noqa: SLF001 - of this class
        return other

    @contextmanager
    def changing(self, actor: str, run_id: str | None = None, *, lease: Lease | None = None) -> Iterator[Change]:
        """Change records in one transaction, committed at the end of the block and rolled back on an exception.

        lease: raise ImageBusy if the lock that the change is made under was taken over.
        Other writers wait meanwhile, so keep it short, never move bytes inside and never nest.
        """
        with self._store.writing() as transaction:
            if lease is not None:
                require_current(transaction, lease)
            by = Acting(actor, run_id, self._identity, self._door)
            yield Change(transaction, self._given or transaction.now, self._page_size, by)

    def locked(self, image_id: str, holder: str, *, is_dead: IsDead | None = None) -> AbstractContextManager[Lease]:
        """Hold the lock of an image for the block. Raises ImageBusy, naming the holder.

        is_dead: asked about a present holder; the lock is taken over only if it surely is dead. A holder may take its
        own lock again: its unfinished work counts as dead. Pass the lease to `changing` if a takeover would do harm.
        """
        return held(self._store, image_id, holder, is_dead, self.now())

    def locked_together(
        self, image_ids: Sequence[str], holder: str, *, is_dead: IsDead | None = None
    ) -> AbstractContextManager[Together]:
        """Hold the locks of many images for the block; those held by others are named, not waited for."""
        return held_together(self._store, image_ids, holder, is_dead, self.now())

    def forget_leases(self, is_dead: IsDead) -> int:
        """Remove leases without a live holder whose image no longer exists; return how many."""
        return forget(self._store, tuple(self._all(record_kinds.LEASE)), is_dead)

    def next_slice(self, image_storage: str, seconds: float) -> Slice | None:
        """Take the next `seconds` of an image storage's bandwidth, after all earlier takers; None if it has no cap."""
        return next_slice(self._store, image_storage, seconds)

    def outcome(self, run_id: str) -> Outcome | None:
        """Return how a run ended, None if its outcome was not kept."""
        return self._get(record_kinds.OUTCOME, run_id)

    def keep_outcome(self, outcome: Outcome) -> None:
        """Store how a run ended, replacing an earlier outcome of it."""
        keep_outcome(self._store, outcome)

    def difference(self, before: Snapshot | datetime, after: Snapshot | datetime) -> Difference:
        """Return how two snapshots, or two moments, differ. The cost is that of the entries between them."""
        first = self.snapshot(before) if isinstance(before, datetime) else before
        return difference(first, self.snapshot(after) if isinstance(after, datetime) else after)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

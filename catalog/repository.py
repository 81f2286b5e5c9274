"""The catalog: reading, and changes in one transaction each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from catalog.change import Change
from catalog.difference import Difference, difference
from catalog.locks import IsDead, Together, held, held_together, require_current
from catalog.pacing import Slice, next_slice
from catalog.reading import Reading
from catalog.records import Lease
from catalog.snapshot import Snapshot
from catalog.store import Store


class Catalog(Reading):
    """What we know. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        super().__init__(store.reading, clock, store.page_size)
        self._store = store

    @contextmanager
    def changing(
        self, actor: str, run_id: str | None = None, *, lease: Lease | None = None
    ) -> Iterator[Change]:
        """Change records in one transaction: committed at the end of the block, nothing of it on an exception.

        lease: refuse the change (ImageBusy) if the lock it was made under was taken over.
        Others that want to change something wait, so keep it short, never move bytes inside and never nest.
        """
        with self._store.writing() as transaction:
            if lease is not None:
                require_current(transaction, lease)
            yield Change(transaction, self._clock, self._page_size, actor, run_id)

    def locked(
        self, image_id: str, holder: str, *, is_dead: IsDead | None = None
    ) -> AbstractContextManager[Lease]:
        """Be the only one that works on an image for the block. Raises ImageBusy, naming the holder.

        is_dead: asked about a holder in the way; only a sure True takes over. The same holder may take its lock again:
        what it did not finish before counts as dead. Give the lease to `changing` where being overtaken would hurt.
        """
        return held(self._store, image_id, holder, is_dead, self._clock())

    def locked_together(
        self, image_ids: Sequence[str], holder: str, *, is_dead: IsDead | None = None
    ) -> AbstractContextManager[Together]:
        """Be the only one that works on many images for the block; those of others are named, not waited for."""
        return held_together(self._store, image_ids, holder, is_dead, self._clock())

    def next_slice(self, image_storage: str, seconds: float) -> Slice | None:
        """Take the next `seconds` of an image storage's bandwidth, behind all others who did; None if it has no cap."""
        return next_slice(self._store, image_storage, seconds)

    def difference(self, before: Snapshot | datetime, after: Snapshot | datetime) -> Difference:
        """Return how two snapshots, or two moments, differ. It costs what happened between them."""
        first = self.snapshot(before) if isinstance(before, datetime) else before
        return difference(first, self.snapshot(after) if isinstance(after, datetime) else after)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

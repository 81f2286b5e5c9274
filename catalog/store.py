"""The two roles that keep records: a store opens transactions, a transaction reads and writes rows.

What a change means (versions, events, quotas) is decided once, above, in `change.py`; stores only keep rows.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from catalog.kinds import Key, Kind, Place
from catalog.query import Query
from catalog.records import Event, Record

R = TypeVar("R", bound=Record)


class Transaction(Protocol):
    """Sees one moment of the store, and its own writes."""

    def get(self, kind: Kind[R], key: Key) -> R | None:
        """Return a record, or None."""
        ...

    def page(self, kind: Kind[R], query: Query, after: Place | None, limit: int) -> Sequence[R]:
        """Return at most `limit` records in the kind's order, those behind the order values `after` only."""
        ...

    def count(self, kind: Kind[Record]) -> int:
        """Return how many records there are."""
        ...

    def last_event(self, until: datetime | None = None) -> Event | None:
        """Return the newest event, or the newest of a moment (inclusive), or None."""
        ...

    def now(self) -> datetime:
        """Return the moment by the clock that all users of the store share: the database's, where hosts differ."""
        ...

    def insert(self, kind: Kind[R], record: R) -> None:
        """Add a record whose key is not there yet."""
        ...

    def update(self, kind: Kind[R], record: R) -> None:
        """Replace the record that has this key."""
        ...

    def delete(self, kind: Kind[Record], key: Key) -> None:
        """Delete a record; a no-op if there is none."""
        ...


class Store(Protocol):
    """Keeps rows. Thread-safe; several processes may share the SQL ones."""

    address: str  # for messages, without password
    page_size: int  # what listings ask for at once

    def reading(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that only reads."""
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open the one writing transaction: others wait. Commits at the end, rolls back on any exception."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...

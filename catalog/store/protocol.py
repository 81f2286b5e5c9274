"""The two protocols of storage: a store opens transactions, a transaction reads and writes rows.

The meaning of a change (versions, events, quotas) is decided once, above, in `catalog/repository/change.py`; stores
only keep rows.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from catalog.errors import RecordUnreadable
from catalog.records import Account, Event, Record
from catalog.store.lines.line import LineOrder
from catalog.store.record_kinds import Key, Place, RecordKind

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Query:
    """Conditions, all of which must hold. The defaults match everything."""

    among: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)  # field → allowed values
    name_pattern: str = "*"  # `*` any characters, `?` one; case matters
    changed_since: datetime | None = None  # updated_at at or after
    expired_at: datetime | None = None  # expires_at at or before
    stored_on: str | None = None  # images with a replica on this image storage
    labels: tuple[str, ...] = ()  # images that have all of them
    words: tuple[str, ...] = ()  # parts of the searchable text, in any case; only for `lines`
    visible_to: Account | None = None
    up_to: int | None = None  # events: up to this sequence


EVERYTHING = Query()


@dataclass(frozen=True)
class Page(Generic[R]):
    """A page of a listing.

    unreadable: its rows that hold no record; end: the place of the last row that has a place.
    """

    records: Sequence[R] = ()
    unreadable: Sequence[RecordUnreadable] = ()
    end: Place | None = None

    @property
    def rows(self) -> int:
        """The number of rows in the page, unreadable ones included."""
        return len(self.records) + len(self.unreadable)

    def all(self) -> Sequence[R]:
        """Return the records. Raises RecordUnreadable if a row is unreadable."""
        for error in self.unreadable:
            raise error
        return self.records


@dataclass(frozen=True)
class Total:
    """The totals of a group of records. group, sums, counts, least, most: in the order of the requested fields."""

    group: tuple[object, ...]
    records: int
    sums: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()  # of records that have the moment
    least: tuple[datetime | None, ...] = ()
    most: tuple[datetime | None, ...] = ()


class Transaction(Protocol):
    """Sees one moment of the store and its own writes."""

    def get(self, kind: RecordKind[R], key: Key) -> R | None:
        """Return a record, or None. Raises RecordUnreadable."""
        ...

    def page(self, kind: RecordKind[R], query: Query, after: Place | None, limit: int) -> Page[R]:
        """Return at most `limit` records in the kind's order, only those after the order values `after`.

        An unreadable row is named in the page and hides no other.
        """
        ...

    def lines(self, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int) -> Sequence[str]:
        """Return the ids of images in an order; those without a value last, among equals the newest first.

        Of the query, `among`, `words`, `labels`, `stored_on`, `visible_to` and `name_pattern` are used.
        """
        ...

    def count(self, kind: RecordKind[Record]) -> int:
        """Return how many records there are."""
        ...

    def totals(
        self, kind: RecordKind[Record], by: Sequence[str], sums: Sequence[str] = (), moments: Sequence[str] = ()
    ) -> Sequence[Total]:
        """Count records grouped by fields, in the order of their values, without reading the records into memory.

        sums: numeric fields to add up, None as 0. moments: fields whose first and last moments are returned.
        """
        ...

    def last_event(self, until: datetime | None = None) -> Event | None:
        """Return the newest event, or the newest until a moment (inclusive), or None."""
        ...

    def now(self) -> datetime:
        """Return the moment by the clock that all users of the store share: the database's, if hosts share it."""
        ...

    def insert(self, kind: RecordKind[R], record: R) -> None:
        """Add a record with a new key."""
        ...

    def update(self, kind: RecordKind[R], record: R) -> None:
        """Replace the record with this key."""
        ...

    def delete(self, kind: RecordKind[Record], key: Key) -> None:
        """Delete a record; a no-op if there is none."""
        ...


class Store(Protocol):
    """Keeps rows. Thread-safe; several processes may share the SQL ones."""

    address: str  # for messages, without password
    page_size: int  # rows that listings fetch at once
    shared: bool  # by several hosts, which do not share folders

    def reading(self) -> AbstractContextManager[Transaction]:
        """Open a read-only transaction."""
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open the one writing transaction: others wait. Commits at the end, rolls back on any exception."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...

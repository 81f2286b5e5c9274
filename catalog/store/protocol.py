"""The two roles that keep records: a store opens transactions, a transaction reads and writes rows.

What a change means (versions, events, quotas) is decided once, above, in `catalog/repository/change.py`; stores only keep rows.
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
    """Conditions that all must hold. Defaults hold for everything."""

    among: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)  # field → values it may have
    name_pattern: str = "*"  # `*` any characters, `?` one; case matters
    changed_since: datetime | None = None  # updated_at at or after
    expired_at: datetime | None = None  # expires_at at or before
    stored_on: str | None = None  # images with a replica on this image storage
    labels: tuple[str, ...] = ()  # images that bear each of them
    words: tuple[str, ...] = ()  # parts of what images are found by, in any case; of `lines` only
    visible_to: Account | None = None
    up_to: int | None = None  # events: with this sequence or before


EVERYTHING = Query()


@dataclass(frozen=True)
class Page(Generic[R]):
    """A part of a listing. unreadable: rows of it that hold no record; end: the place of its last row that has one."""

    records: Sequence[R] = ()
    unreadable: Sequence[RecordUnreadable] = ()
    end: Place | None = None

    @property
    def rows(self) -> int:
        """How many rows it was made from."""
        return len(self.records) + len(self.unreadable)

    def all(self) -> Sequence[R]:
        """Return the records. Raises RecordUnreadable where a row holds none."""
        for error in self.unreadable:
            raise error
        return self.records


@dataclass(frozen=True)
class Total:
    """What the records of a group come to. group, sums, counts, least, most: in the order of the fields asked for."""

    group: tuple[object, ...]
    records: int
    sums: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()  # of those that have a moment
    least: tuple[datetime | None, ...] = ()
    most: tuple[datetime | None, ...] = ()


class Transaction(Protocol):
    """Sees one moment of the store, and its own writes."""

    def get(self, kind: RecordKind[R], key: Key) -> R | None:
        """Return a record, or None. Raises RecordUnreadable."""
        ...

    def page(self, kind: RecordKind[R], query: Query, after: Place | None, limit: int) -> Page[R]:
        """Return at most `limit` records in the kind's order, those behind the order values `after` only.

        A row that holds no record is named in the page and hides no other.
        """
        ...

    def lines(self, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int) -> Sequence[str]:
        """Return the ids of images in an order; those without a value last, among equals the newest first.

        Of a query: `among`, `words`, `labels`, `stored_on`, `visible_to`, `name_pattern`.
        """
        ...

    def count(self, kind: RecordKind[Record]) -> int:
        """Return how many records there are."""
        ...

    def totals(
        self, kind: RecordKind[Record], by: Sequence[str], sums: Sequence[str] = (), moments: Sequence[str] = ()
    ) -> Sequence[Total]:
        """Count records by the values of fields, in their order, reading none of them into memory.

        sums: fields of numbers that are added up, None as 0. moments: fields whose first and last moments are wanted.
        """
        ...

    def last_event(self, until: datetime | None = None) -> Event | None:
        """Return the newest event, or the newest of a moment (inclusive), or None."""
        ...

    def now(self) -> datetime:
        """Return the moment by the clock that all users of the store share: the database's, where hosts differ."""
        ...

    def insert(self, kind: RecordKind[R], record: R) -> None:
        """Add a record whose key is not there yet."""
        ...

    def update(self, kind: RecordKind[R], record: R) -> None:
        """Replace the record that has this key."""
        ...

    def delete(self, kind: RecordKind[Record], key: Key) -> None:
        """Delete a record; a no-op if there is none."""
        ...


class Store(Protocol):
    """Keeps rows. Thread-safe; several processes may share the SQL ones."""

    address: str  # for messages, without password
    page_size: int  # what listings ask for at once
    shared: bool  # by several hosts, whose folders are not each other's

    def reading(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that only reads."""
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open the one writing transaction: others wait. Commits at the end, rolls back on any exception."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...

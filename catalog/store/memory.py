"""A store in memory: one immutable map per kind, replaced as a whole at commit."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TypeVar, cast

from pyrsistent import PMap, pmap

from catalog.records import Event, Image, Record
from catalog.rules.accounts.sharing import visible
from catalog.store.lines.line import LineOrder, in_order, words_of
from catalog.store.protocol import Page, Query, Total
from catalog.store.record_kinds import EVENT, IMAGE, Key, Place, RecordKind
from catalog.units import utc_now

R = TypeVar("R", bound=Record)
Rows = PMap[str, PMap[Key, Record]]
_EMPTY: PMap[Key, Record] = pmap()


def _is_expired(image: Image, moment: datetime) -> bool:
    return image.expires_at is not None and image.expires_at <= moment


class MemoryTransaction:
    """Reads and replaces maps, invisible to others until commit."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def _of(self, table: str) -> PMap[Key, Record]:
        return self.rows.get(table, _EMPTY)

    def get(self, kind: RecordKind[R], key: Key) -> R | None:
        """Return a record, or None."""
        return cast("R | None", self._of(kind.table).get(key))

    def page(self, kind: RecordKind[R], query: Query, after: Place | None, limit: int) -> Page[R]:
        """Sort all matching records and cut the page out: memory is for tests and small catalogs."""
        fields, down = kind.order(), kind.newest_first

        def place(record: R) -> Place:
            return tuple(getattr(record, field) for field in fields)

        held = [cast("R", r) for r in self._of(kind.table).values() if self._holds(query, r)]
        ordered = sorted(held, key=place, reverse=down)
        behind = (r for r in ordered if after is None or (place(r) < after if down else place(r) > after))
        found = list(islice(behind, limit))
        return Page(found, end=place(found[-1]) if found else None)

    def _holds(self, query: Query, record: Record) -> bool:
        return (
            all(getattr(record, field) in values for field, values in query.among.items())
            and (query.up_to is None or (isinstance(record, Event) and record.sequence <= query.up_to))
            and (not isinstance(record, Image) or self._image_holds(query, record))
        )

    def _image_holds(self, query: Query, image: Image) -> bool:
        return (
            (query.changed_since is None or image.updated_at >= query.changed_since)
            and (query.expired_at is None or _is_expired(image, query.expired_at))
            and set(query.labels) <= set(image.labels)
            and (not query.words or all(word.casefold() in words_of(image) for word in query.words))
            and (query.visible_to is None or visible(image, query.visible_to))
            and (query.stored_on is None or (image.id, query.stored_on) in self._of("replicas"))
            and (query.name_pattern == "*" or _matches(query.name_pattern, image.name))
        )

    def lines(self, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int) -> Sequence[str]:
        """Sort all matching images and cut the page out."""
        held = [cast("Image", one) for one in self._of(IMAGE.table).values() if self._holds(query, one)]
        return in_order(held, order, down=down)[offset : offset + limit]

    def count(self, kind: RecordKind[Record]) -> int:
        """Return how many records there are."""
        return len(self._of(kind.table))

    def totals(
        self, kind: RecordKind[Record], by: Sequence[str], sums: Sequence[str] = (), moments: Sequence[str] = ()
    ) -> Sequence[Total]:
        """Count records by the values of fields."""
        groups: dict[tuple[object, ...], list[Record]] = {}
        for record in self._of(kind.table).values():
            groups.setdefault(tuple(getattr(record, name) for name in by), []).append(record)
        if not by:
            groups.setdefault((), [])
        return tuple(_total(group, groups[group], sums, moments) for group in sorted(groups, key=str))

    def last_event(self, until: datetime | None = None) -> Event | None:
        """Return the newest event (until a moment), or None."""
        if until is not None:
            held = [cast("Event", e) for e in self._of(EVENT.table).values() if cast("Event", e).at <= until]
            return max(held, key=lambda event: event.sequence, default=None)
        events = self._of(EVENT.table)
        return cast("Event | None", events.get((len(events),)))  # sequences have no gaps

    def now(self) -> datetime:
        """Return the moment by this host's clock."""
        return utc_now()

    def insert(self, kind: RecordKind[R], record: R) -> None:
        """Add a record."""
        self.rows = self.rows.set(kind.table, self._of(kind.table).set(kind.key_of(record), record))

    update = insert

    def delete(self, kind: RecordKind[Record], key: Key) -> None:
        """Delete a record; a no-op if there is none."""
        self.rows = self.rows.set(kind.table, self._of(kind.table).discard(key))


def _total(group: tuple[object, ...], records: Sequence[Record], sums: Sequence[str], moments: Sequence[str]) -> Total:
    known = [[m for record in records if (m := getattr(record, name)) is not None] for name in moments]
    return Total(
        group=group,
        records=len(records),
        sums=tuple(sum(getattr(record, name) or 0 for record in records) for name in sums),
        counts=tuple(map(len, known)),
        least=tuple(min(found, default=None) for found in known),
        most=tuple(max(found, default=None) for found in known),
    )


def _matches(pattern: str, name: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(c) or re.escape(c) for c in pattern), name, re.DOTALL) is not None


class MemoryStore:
    """Keeps rows as long as the object exists. Writers wait for each other; readers never wait."""

    address = "memory://"
    shared = False
    page_size = 1 << 30  # each page sorts everything

    def __init__(self) -> None:
        self._rows: Rows = pmap({IMAGE.table: _EMPTY})
        self._writer = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[MemoryTransaction]:
        """Read the last committed moment."""
        yield MemoryTransaction(self._rows)

    @contextmanager
    def writing(self) -> Iterator[MemoryTransaction]:
        """Write to a copy, then replace everything at once."""
        with self._writer:
            transaction = MemoryTransaction(self._rows)
            yield transaction
            self._rows = transaction.rows

    def close(self) -> None:
        """Do nothing: the object itself is the database."""

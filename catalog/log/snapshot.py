"""The catalog at a moment, from the event log alone: a lazy view that keeps nothing in memory.

The log only grows, so a moment is one number, the sequence of its last entry. Looking up a record reads the few entries
about it; iterating over all records reads the log by subject, in the memory of one page.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby, takewhile
from typing import TypeVar, cast

from catalog.log.entries import KIND_OF, Fields, folded, record_of
from catalog.records import Event, Record
from catalog.store.listing import Listing
from catalog.store.protocol import Query, Transaction
from catalog.store.record_kinds import EVENT, EVENT_BY_SUBJECT, Place

R = TypeVar("R", bound=Record)


class Snapshot(Listing, Mapping[str, Record]):
    """Subject (as the event log names it, e.g. `image:<id>`) → record, in the order of the subjects.

    sequence: of the last entry that counts. Valid while the catalog is open.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Transaction]],
        clock: Callable[[], datetime],
        page_size: int,
        sequence: int,
    ) -> None:
        super().__init__(reading, clock, page_size)
        self.sequence = sequence

    def __getitem__(self, subject: str) -> Record:
        (record,) = self.some((subject,)).values() or (None,)
        if record is None:
            raise KeyError(subject)
        return record

    def __iter__(self) -> Iterator[str]:
        return (subject for subject, _ in self._states(Query(up_to=self.sequence)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[str, Record]:
        """Return all records with their subjects, read in one pass."""
        return _Items(self)

    def values(self) -> ValuesView[Record]:
        """Return all records, read in one pass."""
        return _Values(self)

    def records(self, kind: type[R], after: str = "") -> Iterator[R]:
        """List the records of one type by subject. after: the last subject of the previous page."""
        prefix = next(prefix for prefix, known in KIND_OF.items() if known.record is kind) + ":"
        found = self.pairs((after, self.sequence) if after else (prefix, 0))
        return (cast("R", record) for _, record in takewhile(lambda pair: pair[0].startswith(prefix), found))

    def pairs(self, after: Place | None = None) -> Iterator[tuple[str, Record]]:
        """List subjects and records. after: subject and sequence of the last entry of the previous page."""
        for subject, state in self._states(Query(up_to=self.sequence), after):
            yield subject, record_of(subject, state)

    def some(self, subjects: tuple[str, ...]) -> dict[str, Record]:
        """Return those of the given records that existed, looked up together."""
        query = Query(among={"subject": subjects}, up_to=self.sequence)
        return {subject: record_of(subject, state) for subject, state in self._states(query)}

    def since(self, earlier: "Snapshot") -> Iterator[Event]:
        """List the entries between two moments of the same log."""
        return self._all(EVENT, Query(up_to=self.sequence), (earlier.sequence,))

    def is_later(self, other: "Snapshot") -> bool:
        """Tell whether this moment is the other one, or later, in the same log."""
        same_log = self._reading == other._reading  # noqa: SLF001 - of this class
        return same_log and self.sequence >= other.sequence

    def _states(self, query: Query, after: Place | None = None) -> Iterator[tuple[str, Fields]]:
        entries = self._all(EVENT_BY_SUBJECT, query, after)
        for subject, about in groupby(entries, key=lambda event: event.subject):
            state = _last_state(about)
            if state is not None:
                yield subject, state


def _last_state(events: Iterable[Event]) -> Fields | None:
    state: Fields | None = None
    for event in events:
        state = folded(state, event)
    return state


class _Items(ItemsView[str, Record]):
    _mapping: Snapshot

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        return self._mapping.pairs()


class _Values(ValuesView[Record]):
    _mapping: Snapshot

    def __iter__(self) -> Iterator[Record]:
        return (record for _, record in self._mapping.pairs())

"""Write rows and their log entries together, the common part of every save in a change."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import TypeVar, cast

from catalog.log.entries import Acting, entry
from catalog.records import Event, Record
from catalog.repository.reading.reading import Reading
from catalog.repository.usage_counts import recount
from catalog.store import record_kinds
from catalog.store.protocol import Transaction
from catalog.store.record_kinds import Key, RecordKind
from catalog.store.storable import storable

R = TypeVar("R", bound=Record)


class Writing(Reading):
    """Writes in one transaction, on behalf of an actor."""

    def __init__(
        self,
        transaction: Transaction,
        clock: Callable[[], datetime],
        page_size: int,
        by: Acting,
    ) -> None:
        super().__init__(lambda: nullcontext(transaction), self._never_back, page_size)
        self._transaction, self._by = transaction, by
        self._identity = by.identity
        self._ticking = clock
        self._last: Event | None = None

    def _never_back(self) -> datetime:
        """Return the clock's moment, or the log's last one if the clock has been set back since.

        So nothing is stamped earlier than the log's end, and a retention never begins before the delete.
        """
        self._last = self._last or self._transaction.last_event()
        now = self._ticking()
        return max(self._last.at, now) if self._last else now

    def _save(self, kind: RecordKind[R], record: R, event: str | None) -> None:
        self._put(kind, self._transaction.get(kind, kind.key_of(record)), record, event)

    def _put(self, kind: RecordKind[R], before: R | None, after: R, event: str | None) -> R:
        after = storable(after)
        if before is None:
            self._transaction.insert(kind, after)
        else:
            self._transaction.update(kind, after)
        recount(self._transaction, before, after)
        self._changed(kind, before, after, event or _named(kind, "added" if before is None else "changed"))
        return after

    def _remove(self, kind: RecordKind[R], key: Key, event: str | None) -> None:
        before = self._transaction.get(kind, key)
        if before is not None:
            self._transaction.delete(kind, key)
            recount(self._transaction, before, None)
            self._changed(kind, before, None, event or _named(kind, "removed"))

    def _changed(self, kind: RecordKind[R], before: R | None, after: R | None, event: str) -> None:
        if kind.logged and before != after:
            self._log(event, kind.subject(kind.key_of(cast("R", after or before))), before, after)

    def _log(self, kind: str, subject: str, before: Record | None, after: Record | None, note: bool = False) -> Event:
        at = self.now()
        event = entry(self._last, at, kind, subject, self._by, before, after, note)
        self._transaction.insert(record_kinds.EVENT, event)
        self._last = event
        return event


def _named(kind: RecordKind[Record], what: str) -> str:
    return f"imagewright.{kind.prefix}.{what}"

"""Writing rows and the log together: what every saving of a change comes down to."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import TypeVar, cast

from catalog import kinds
from catalog.counting import recount
from catalog.history import entry
from catalog.kinds import Key, Kind
from catalog.reading import Reading
from catalog.records import Event, Record
from catalog.storable import storable
from catalog.store import Transaction

R = TypeVar("R", bound=Record)


class Writing(Reading):
    """Writes in one transaction, on behalf of somebody."""

    def __init__(
        self,
        transaction: Transaction,
        clock: Callable[[], datetime],
        page_size: int,
        actor: str,
        run_id: str | None,
    ) -> None:
        super().__init__(lambda: nullcontext(transaction), clock, page_size)
        self._transaction, self._actor, self._run_id = transaction, actor, run_id
        self._last: Event | None = None
        self._events: list[Event] = []

    @property
    def logged(self) -> tuple[Event, ...]:
        """What this change has logged so far."""
        return tuple(self._events)

    def _save(self, kind: Kind[R], record: R, event: str | None) -> None:
        self._put(kind, self._transaction.get(kind, kind.key_of(record)), record, event)

    def _put(self, kind: Kind[R], before: R | None, after: R, event: str | None) -> R:
        after = storable(after)
        if before is None:
            self._transaction.insert(kind, after)
        else:
            self._transaction.update(kind, after)
        recount(self._transaction, before, after)
        self._changed(kind, before, after, event or _named(kind, "added" if before is None else "changed"))
        return after

    def _remove(self, kind: Kind[R], key: Key, event: str | None) -> None:
        before = self._transaction.get(kind, key)
        if before is not None:
            self._transaction.delete(kind, key)
            recount(self._transaction, before, None)
            self._changed(kind, before, None, event or _named(kind, "removed"))

    def _changed(self, kind: Kind[R], before: R | None, after: R | None, event: str) -> None:
        if kind.logged and before != after:
            self._log(event, kind.subject(kind.key_of(cast("R", after or before))), before, after)

    def _log(
        self, kind: str, subject: str, before: Record | None, after: Record | None, note: bool = False
    ) -> Event:
        last, now = self._last or self._transaction.last_event(), self._clock()
        at = max(last.at, now) if last else now  # clocks of hosts differ; the log never goes back
        event = entry(last, at, kind, subject, self._actor, self._run_id, before, after, note)
        self._transaction.insert(kinds.EVENT, event)
        self._last = event
        self._events.append(event)
        return event


def _named(kind: Kind[Record], what: str) -> str:
    return f"imagewright.{kind.prefix}.{what}"

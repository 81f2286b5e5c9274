"""Reading the event log: its entries, any moment, and the proof that log and tables are what was written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from itertools import groupby, islice

from catalog import kinds
from catalog.errors import RecordNotLogged
from catalog.history import KIND_OF, verified
from catalog.kinds import Kind
from catalog.listing import Listing, where
from catalog.query import Query
from catalog.records import Event, Record
from catalog.snapshot import Snapshot

TOGETHER = 500  # records compared with the log at a time


class Remembering(Listing):
    """What happened, and whether the log of it can be believed."""

    def events(
        self, image_id: str | None = None, *, since: int = 0, subject: str | None = None
    ) -> Iterator[Event]:
        """List the event log, oldest first: of an image with all its replicas, exports, …, or whole.

        since: sequence number; entries after it.
        """
        after = (since,) if since else None
        return self._all(kinds.EVENT, where(image_id=image_id, subject=subject), after)

    def snapshot(self, at: datetime | None = None) -> Snapshot:
        """Return everything the catalog knew at a moment (inclusive; None: now), from the event log alone.

        It is a view: nothing is read before it is asked for.
        """
        with self._reading() as transaction:
            last = transaction.last_event(at)
        return Snapshot(self._reading, self._clock, self._page_size, last.sequence if last else 0)

    def verify_events(self) -> int:
        """Recompute the whole hash chain and return how many entries it has. Raises LogDamaged."""
        return sum(1 for _ in verified(self.events()))

    def verify_tables(self) -> int:
        """Compare every record with what the log says of it, at one moment; return how many there are.

        Finds what a whole chain can't show: what was changed past the log, and entries cut off its end. Raises
        RecordNotLogged.
        """
        with self._reading() as transaction:
            moment = Remembering(lambda: nullcontext(transaction), self._clock, self._page_size)
            log, logged = moment.snapshot(), Counter[str]()
            for kind, records in _batches(log):
                _compare(moment._kept(kind, records), records)
                logged[kind.prefix] += len(records)
            for kind in KIND_OF.values():
                if transaction.count(kind) != logged[kind.prefix]:
                    raise RecordNotLogged(moment._unlogged(kind, log), "the tables know it, the log doesn't")
        return logged.total()

    def _kept(self, kind: Kind[Record], records: Mapping[str, Record]) -> Mapping[str, Record]:
        """Return what the tables have of these records."""
        first = dict.fromkeys(kind.key_of(record)[0] for record in records.values())
        kept = self._all(kind, Query(among={kind.key[0]: tuple(first)}))
        return {kind.subject(kind.key_of(record)): record for record in kept}

    def _unlogged(self, kind: Kind[Record], log: Snapshot) -> str:
        subjects = (kind.subject(kind.key_of(record)) for record in self._all(kind))
        return next(subject for subject in subjects if subject not in log)


def _batches(log: Snapshot) -> Iterator[tuple[Kind[Record], Mapping[str, Record]]]:
    """Yield what the log tells of, some records of one kind at a time."""
    for prefix, pairs in groupby(log.pairs(), key=lambda pair: pair[0].partition(":")[0]):
        while records := dict(islice(pairs, TOGETHER)):
            yield KIND_OF[prefix], records


def _compare(tables: Mapping[str, Record], log: Mapping[str, Record]) -> None:
    for subject, record in log.items():
        if subject not in tables:
            raise RecordNotLogged(subject, "the log knows it, the tables don't")
        if tables[subject] != record:
            raise RecordNotLogged(subject, "the tables say something else")

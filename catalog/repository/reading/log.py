"""Read the event log: its entries, the catalog at any moment, and the verification of log and tables."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from itertools import groupby, islice

from catalog.errors import LogDamaged, RecordNotLogged, RecordUnreadable
from catalog.log.entries import KIND_OF, verified
from catalog.log.snapshot import Snapshot
from catalog.records import Event, Record
from catalog.store import record_kinds
from catalog.store.listing import Listing, where
from catalog.store.protocol import Query
from catalog.store.record_kinds import RECORD_KINDS, RecordKind

BACKUP = "backup:catalog"
"""Subject of the notes about backups."""
TOGETHER = 500  # records compared with the log at a time


class LogReading(Listing):
    """Reads and verifies the event log."""

    def events(self, image_id: str | None = None, *, since: int = 0, subject: str | None = None) -> Iterator[Event]:
        """List the event log, oldest first: the entries of an image with its replicas, exports, …, or all.

        since: sequence number; only entries after it.
        """
        after = (since,) if since else None
        return self._all(record_kinds.EVENT, where(image_id=image_id, subject=subject), after)

    def log_position(self) -> int:
        """Return the sequence number of the newest entry, 0 if there is none."""
        with self._reading() as transaction:
            last = transaction.last_event()
        return last.sequence if last else 0

    def entry(self, sequence: int) -> Event:
        """Return one entry. Raises LogDamaged if the log lacks it."""
        found = self._get(record_kinds.EVENT, sequence)
        if found is None:
            raise LogDamaged(sequence, "it is not there")
        return found

    def last_backup(self) -> datetime | None:
        """Return the moment of the newest backup in the log, None if there is none."""
        return max((event.at for event in self.events(subject=BACKUP)), default=None)

    def snapshot(self, at: datetime | None = None) -> Snapshot:
        """Return the catalog at a moment (inclusive; None: now), from the event log alone.

        It is a lazy view: records are read on access.
        """
        with self._reading() as transaction:
            last = transaction.last_event(at)
        return Snapshot(self._reading, self._clock, self._page_size, last.sequence if last else 0)

    def read_everything(self) -> tuple[int, tuple[RecordUnreadable, ...]]:
        """Read every record and every entry of the log; return the number of readable ones and the others' errors."""
        reading = self.tolerant()
        reading.unreadable = {}
        count = sum(1 for kind in RECORD_KINDS for _ in reading._all(kind))  # noqa: SLF001 - of this class
        return count, tuple(reading.unreadable.values())

    def verify_events(self) -> int:
        """Recompute the whole hash chain and return how many entries it has. Raises LogDamaged."""
        return sum(1 for _ in verified(self.events()))

    def verify_tables(self) -> int:
        """Compare every record with the log at one moment; return the number of records.

        Finds what an intact chain can't show: changes made without the log, and entries cut off its end. Raises
        RecordNotLogged.
        """
        with self._reading() as transaction:
            moment = LogReading(lambda: nullcontext(transaction), self._clock, self._page_size)
            log, logged = moment.snapshot(), Counter[str]()
            for kind, records in _batches(log):
                _compare(moment._kept(kind, records), records)
                logged[kind.prefix] += len(records)
            for kind in KIND_OF.values():
                if transaction.count(kind) != logged[kind.prefix]:
                    raise RecordNotLogged(moment._unlogged(kind, log), "the catalog has it, the log doesn't")
        return logged.total()

    def _kept(self, kind: RecordKind[Record], records: Mapping[str, Record]) -> Mapping[str, Record]:
        """Return these records as the tables have them."""
        first = dict.fromkeys(kind.key_of(record)[0] for record in records.values())
        kept = self._all(kind, Query(among={kind.key[0]: tuple(first)}))
        return {kind.subject(kind.key_of(record)): record for record in kept}

    def _unlogged(self, kind: RecordKind[Record], log: Snapshot) -> str:
        subjects = (kind.subject(kind.key_of(record)) for record in self._all(kind))
        return next(subject for subject in subjects if subject not in log)


def _batches(log: Snapshot) -> Iterator[tuple[RecordKind[Record], Mapping[str, Record]]]:
    """Yield the records according to the log, in batches of one kind."""
    for prefix, pairs in groupby(log.pairs(), key=lambda pair: pair[0].partition(":")[0]):
        while records := dict(islice(pairs, TOGETHER)):
            yield KIND_OF[prefix], records


def _compare(tables: Mapping[str, Record], log: Mapping[str, Record]) -> None:
    for subject, record in log.items():
        if subject not in tables:
            raise RecordNotLogged(subject, "the log has it, the catalog doesn't")
        if tables[subject] != record:
            raise RecordNotLogged(subject, "the catalog says something else")

"""Reading the event log: its entries, any moment, and the proof that log and tables are what was written."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from itertools import islice

from catalog import kinds
from catalog.errors import LogDamaged, RecordNotLogged
from catalog.history import verified
from catalog.kinds import Kind
from catalog.listing import Listing, where
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
            return moment._agreeing(moment.snapshot())

    def _agreeing(self, log: Snapshot) -> int:
        count = 0
        for kind in (kind for kind in kinds.KINDS if kind.logged):
            for records in self._by_subject(kind):
                _compare(records, log.some(tuple(records)))
                count += len(records)
        if len(log) != count:
            raise RecordNotLogged(self._lost(log), "the log knows it, the tables don't")
        return count

    def _by_subject(self, kind: Kind[Record]) -> Iterator[Mapping[str, Record]]:
        records = self._all(kind)
        while some := tuple(islice(records, TOGETHER)):
            yield {kind.subject(kind.key_of(record)): record for record in some}

    def _lost(self, log: Snapshot) -> str:
        by_prefix = {kind.prefix: kind for kind in kinds.KINDS}
        for subject, record in log.items():
            kind = by_prefix[subject.partition(":")[0]]
            if self._get(kind, *(str(part) for part in kind.key_of(record))) is None:
                return subject
        raise LogDamaged(log.sequence, "it changed while it was read")


def _compare(tables: Mapping[str, Record], log: Mapping[str, Record]) -> None:
    for subject, record in tables.items():
        if subject not in log:
            raise RecordNotLogged(subject, "the tables know it, the log doesn't")
        if log[subject] != record:
            raise RecordNotLogged(subject, "the tables say something else")

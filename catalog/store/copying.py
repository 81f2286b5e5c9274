"""Copy a whole catalog into an empty one, record by record, so that unreadable rows are refused, not copied."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice

from catalog.records import Record
from catalog.store.listing import Listing
from catalog.store.protocol import EVERYTHING
from catalog.store.record_kinds import RECORD_KINDS, RecordKind
from catalog.store.sql import SqlTransaction


class Whole(Listing):
    """Reads everything that one transaction sees."""

    def __init__(self, transaction: SqlTransaction, page_size: int) -> None:
        super().__init__(lambda: nullcontext(transaction), transaction.now, page_size)
        self._transaction = transaction

    def kept(self, kind: RecordKind[Record]) -> Iterator[Record]:
        """List the records of a kind. Raises RecordUnreadable at an unreadable row."""
        return self._all(kind)

    def filled(self) -> str:
        """Return the first table that has a row, empty if none has."""
        return next((kind.table for kind in RECORD_KINDS if self._transaction.page(kind, EVERYTHING, None, 1).rows), "")


def copy_all(source: SqlTransaction, target: SqlTransaction, page_size: int) -> int:
    """Copy every record, referenced kinds first; return the number of records. Raises RecordUnreadable."""
    whole = Whole(source, page_size)
    return sum(_copy(whole.kept(kind), kind, target, page_size) for kind in RECORD_KINDS)


def _copy(records: Iterator[Record], kind: RecordKind[Record], target: SqlTransaction, page_size: int) -> int:
    count = 0
    while batch := tuple(islice(records, page_size)):
        target.insert_all(kind, batch)
        count += len(batch)
    return count

"""Read one record from a store, or a listing in pages."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from logging import getLogger
from typing import Self, TypeVar

from catalog.errors import NotFound, RecordUnreadable
from catalog.records import Record
from catalog.store.protocol import EVERYTHING, Page, Query, Transaction
from catalog.store.record_kinds import Place, RecordKind

R = TypeVar("R", bound=Record)
log = getLogger("imagewright.catalog")


class Listing:
    """Reads records. Listings are iterators that fetch pages; each page is one moment.

    strict: an unreadable row ends a listing with RecordUnreadable, for callers that delete whatever is not listed;
    otherwise the row is left out, logged, and named in `unreadable` (by subject).
    """

    strict = True

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Transaction]],
        clock: Callable[[], datetime],
        page_size: int,
    ) -> None:
        self._reading, self._clock, self._page_size = reading, clock, page_size
        self.unreadable: dict[str, RecordUnreadable] = {}

    def tolerant(self) -> Self:
        """Return the same catalog with listings that leave out unreadable rows, for work on each thing by itself."""
        other = copy(self)
        other.strict = False
        return other

    def now(self) -> datetime:
        """Return the moment by the clock that all users of the catalog share; ages of records count by it alone."""
        return self._clock()

    def _get(self, kind: RecordKind[R], *key: str | int) -> R | None:
        with self._reading() as transaction:
            return transaction.get(kind, key)

    def _need(self, kind: RecordKind[R], name: str, missing: type[NotFound]) -> R:
        """Return the record of a name. Raises what is given for one that is missing."""
        found = self._get(kind, name)
        if found is None:
            raise missing(name)
        return found

    def _all(self, kind: RecordKind[R], query: Query = EVERYTHING, after: Place | None = None) -> Iterator[R]:
        limit = self._page_size
        while True:
            with self._reading() as transaction:
                page = transaction.page(kind, query, after, limit)
            yield from self._readable(page)
            if page.rows < limit:
                return
            if page.end in (None, after):  # only rows without a place: the next row is after all of them
                limit *= 2
            else:
                after, limit = page.end, self._page_size

    def _readable(self, page: Page[R]) -> Sequence[R]:
        """Return the records of a page. For unreadable rows see `strict`."""
        if self.strict:
            return page.all()
        for error in page.unreadable:
            if error.subject not in self.unreadable:
                self.unreadable[error.subject] = error
                log.warning("%s", error)
        return page.records


def where(**fields: str | None) -> Query:
    """Return the query for these fields, without those that are None."""
    return Query(among={name: (value,) for name, value in fields.items() if value is not None})

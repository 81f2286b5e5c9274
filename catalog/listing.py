"""Asking a store for one record, or for a listing in pages."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TypeVar

from catalog.kinds import Kind, Place
from catalog.query import EVERYTHING, Query
from catalog.records import Record
from catalog.store import Transaction

R = TypeVar("R", bound=Record)


class Listing:
    """Answers questions. Listings are iterators that ask for pages underneath; each page is one moment."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Transaction]],
        clock: Callable[[], datetime],
        page_size: int,
    ) -> None:
        self._reading, self._clock, self._page_size = reading, clock, page_size

    def _get(self, kind: Kind[R], *key: str) -> R | None:
        with self._reading() as transaction:
            return transaction.get(kind, key)

    def _all(self, kind: Kind[R], query: Query = EVERYTHING, after: Place | None = None) -> Iterator[R]:
        while True:
            with self._reading() as transaction:
                page = transaction.page(kind, query, after, self._page_size)
            yield from page
            if len(page) < self._page_size:
                return
            after = tuple(getattr(page[-1], field) for field in kind.order())


def where(**fields: str | None) -> Query:
    """Return the query for these fields, those that are None left out."""
    return Query(among={name: (value,) for name, value in fields.items() if value is not None})

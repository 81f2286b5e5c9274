"""Read a service's listings page by page, each item as its record."""

from collections.abc import Iterator
from typing import TypeVar

from catalog.records import Record
from flows.client.connection import Connection, Query
from flows.client.errors import AnswerNotUnderstood
from flows.client.parsing import member, parsed

R = TypeVar("R", bound=Record)
PAGE = 500
"""Maximum number of items on a page."""


def listed(connection: Connection, path: str, kind: type[R], query: Query, limit: int | None = None) -> Iterator[R]:
    """Yield the items of a listing, at most `limit`. Raises AnswerNotUnderstood, and the service's refusals."""
    cursor: object = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        said = connection.ask("GET", path, query={**query, "limit": size, "cursor": cursor}).value
        for item in _items(connection, path, said)[:left]:
            yield parsed(kind, item, connection.address(path))
            left = None if left is None else left - 1
        before, cursor = cursor, member(said, "next", connection.address(path))
        if cursor is None:
            return
        if cursor == before or not isinstance(cursor, str):
            raise AnswerNotUnderstood(connection.address(path), "with a page that leads nowhere")


def gathered(connection: Connection, path: str, kind: type[R], query: Query | None = None) -> tuple[R, ...]:
    """Return a listing that has one page only."""
    said = connection.ask("GET", path, query=query).value
    return tuple(parsed(kind, item, connection.address(path)) for item in _items(connection, path, said))


def _items(connection: Connection, path: str, said: object) -> list[object]:
    items = member(said, "items", connection.address(path))
    if not isinstance(items, list):
        raise AnswerNotUnderstood(connection.address(path), "with items that are no list")
    return items

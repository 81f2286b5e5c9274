"""Lists of images by words and in the order of a column, as SQL over their lines: one walk of a narrow table, whatever is asked for."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from catalog.rules.accounts.sharing import ADMIN, names_of
from catalog.store.lines import LineOrder
from catalog.store.protocol import Query
from catalog.store.sql_queries import named
from catalog.store.tables import LABELS_TABLE, LINES_TABLE, PLACES_TABLE, SHARES_TABLE, TABLES

Condition = sa.ColumnElement[bool]
_LINES = LINES_TABLE.c
_IMAGES = TABLES["images"]


def lines_of(
    query: Query, order: LineOrder, *, down: bool, offset: int, limit: int, dialect: str
) -> sa.Select[tuple[str]]:
    """Return the statement for the ids of a page. What has no value is at the end; among equals the newest is first.

    Of a query the fields of lines are asked for, and labels, storage, words and who sees; nothing else.
    """
    statement = sa.select(_LINES.image_id).where(*_conditions(query, dialect))
    return statement.order_by(*_order(order, down=down)).offset(offset).limit(limit)


def _order(order: LineOrder, *, down: bool) -> Sequence[sa.ColumnElement[object]]:
    newest = (_LINES.created_at.desc(), _LINES.image_id.desc())
    if order == "created_at":
        return newest if down else (_LINES.created_at.asc(), _LINES.image_id.asc())
    column = _storages() if order == "image_storages" else _LINES[order]
    nothing = sa.case((column.is_(None) | (sa.cast(column, sa.Text) == ""), 1), else_=0)
    return (nothing, column.desc() if down else column.asc(), *newest)


def _storages() -> sa.ColumnElement[object]:
    """Return the first storage that holds an image."""
    places = PLACES_TABLE.c
    first = sa.select(sa.func.min(places.image_storage)).where(places.image_id == _LINES.image_id)
    return first.correlate(LINES_TABLE).scalar_subquery()


def _conditions(query: Query, dialect: str) -> Iterator[Condition]:
    for field, values in query.among.items():
        yield from _among(field, values)
    place = sa.func.instr if dialect == "sqlite" else sa.func.strpos
    for word in query.words:
        yield place(_LINES.words, word.casefold()) > 0
    for label in query.labels:
        here = (LABELS_TABLE.c.label == label) & (LABELS_TABLE.c.created_at == _LINES.created_at)
        yield sa.exists().where(here & (LABELS_TABLE.c.image_id == _LINES.image_id)).correlate(LINES_TABLE)
    if query.stored_on is not None:
        here = (PLACES_TABLE.c.image_storage == query.stored_on) & (PLACES_TABLE.c.created_at == _LINES.created_at)
        yield sa.exists().where(here & (PLACES_TABLE.c.image_id == _LINES.image_id)).correlate(LINES_TABLE)
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        shared = sa.select(SHARES_TABLE.c.image_id).where(
            SHARES_TABLE.c.grantee.in_(sorted(names_of(query.visible_to)))
        )
        own, public = _LINES.owner == query.visible_to.name, _LINES.sharing_mode == "global"
        yield own | public | _LINES.image_id.in_(shared)
    if query.name_pattern != "*":
        yield _named(query.name_pattern, dialect)


def _among(field: str, values: Sequence[str | int]) -> Iterator[Condition]:
    if field in _LINES:
        yield _LINES[field] == values[0] if len(values) == 1 else _LINES[field].in_(values)
    else:
        here = (_IMAGES.c.id == _LINES.image_id) & _IMAGES.c[field].in_(values)
        yield sa.exists().where(here).correlate(LINES_TABLE)


def _named(pattern: str, dialect: str) -> Condition:
    return sa.exists().where((_IMAGES.c.id == _LINES.image_id) & named(pattern, dialect)).correlate(LINES_TABLE)

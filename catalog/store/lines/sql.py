"""Lists of images by words and in the order of a column, as SQL over their lines: one walk of a narrow table, whatever is asked for.

A program that knows no lines may write beside us. The database notes the images that it writes (`NOTES` of `catalog.store.lines.triggers`): they
are judged from their records, until somebody brings their lines up to date.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from catalog.errors import RecordUnreadable
from catalog.records import Image
from catalog.rules.accounts.sharing import ADMIN, grantees, names_of, visible
from catalog.store.lines.line import COPIED, LineOrder, Spot, line_of, sorted_spots, spot_of, value_of, words_of
from catalog.store.protocol import Query
from catalog.store.record_kinds import IMAGE
from catalog.store.rows import page_from
from catalog.store.sql_queries import filters_of, named, no_other_status
from catalog.store.tables import BEHIND_TABLE, LABELS_TABLE, LINES_TABLE, PLACES_TABLE, SHARES_TABLE, TABLES

Condition = sa.ColumnElement[bool]
_LINES = LINES_TABLE.c
_IMAGES = TABLES["images"]
_NOTED = sa.select(BEHIND_TABLE.c.image_id)
TOGETHER = 500
"""Records of noted images that are in memory at once."""
PLACELESS = datetime.min.replace(tzinfo=UTC)
"""Where a row stands whose moment is none."""


def lines_of(
    query: Query, order: LineOrder, *, down: bool, offset: int, limit: int, dialect: str
) -> sa.Select[tuple[str]]:
    """Return the statement for the ids of a page. What has no value is at the end; among equals the newest is first.

    Of a query the fields of lines are asked for, and labels, storage, words and who sees; nothing else.
    """
    statement = sa.select(_LINES.image_id).where(*conditions(query, dialect))
    return statement.order_by(*ordering(order, down=down)).offset(offset).limit(limit)


def is_behind(connection: sa.Connection) -> bool:
    """Tell whether any image is noted."""
    return connection.execute(_NOTED.limit(1)).first() is not None


def lines_beside(
    connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int
) -> Sequence[str]:
    """Return the ids of a page: of noted images as their records say, of all others by their lines.

    To who sees everything, noted rows that hold no record are behind the page, so that they are named. Costs a record for each
    noted image besides.
    """
    noted, unreadable = _noted(connection, query, order)
    skipped = max(0, offset - len(noted))  # so many lines are before the page, wherever the noted ones stand
    lines = _spots(connection, query, order, down=down, among=slice(skipped, offset + limit))
    page = sorted_spots((*lines, *noted), order, down=down)[offset - skipped : offset - skipped + limit]
    return (*(spot.image_id for spot in page), *(error.subject.partition(":")[2] for error in unreadable))


def _spots(connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, among: slice) -> Iterator[Spot]:
    """Return where images stand that are not noted, a part of them."""
    statement = sa.select(column_of(order), _LINES.created_at, _LINES.image_id).where(_LINES.image_id.not_in(_NOTED))
    statement = statement.where(*conditions(query, connection.dialect.name))
    statement = statement.order_by(*ordering(order, down=down)).slice(among.start, among.stop)
    for cell, moment, image_id in connection.execute(statement):
        yield Spot(value_of(cell, order), moment if isinstance(moment, datetime) else PLACELESS, image_id)


def _noted(connection: sa.Connection, query: Query, order: LineOrder) -> tuple[list[Spot], Sequence[RecordUnreadable]]:
    """Return where the noted images stand of whose records all holds; and those rows that hold none."""
    by_columns = filters_of(IMAGE, replace(query, labels=()), connection.dialect.name)
    statement = sa.select(_IMAGES).where(_IMAGES.c.id.in_(_NOTED), *by_columns)
    rows = connection.execute(statement, execution_options={"yield_per": TOGETHER})
    spots, unreadable, storages = list[Spot](), list[RecordUnreadable](), _first_storages(connection, order)
    for part in rows.partitions():
        page = page_from(IMAGE, tuple(rows.keys()), part)
        spots += [spot_of(one, order, storages.get(one.id)) for one in page.records if _holds(query, one)]
        unreadable += page.unreadable
    return spots, unreadable if query.visible_to is None or query.visible_to.name == ADMIN else ()


def _holds(query: Query, image: Image) -> bool:
    found, said = set(query.labels) <= set(image.labels), words_of(image)
    return (
        found
        and all(word.casefold() in said for word in query.words)
        and (query.visible_to is None or visible(image, query.visible_to))
    )


def _first_storages(connection: sa.Connection, order: LineOrder) -> dict[str, str]:
    if order != "image_storages":
        return {}
    places = PLACES_TABLE.c
    first = sa.select(places.image_id, sa.func.min(places.image_storage)).where(places.image_id.in_(_NOTED))
    return {row[0]: row[1] for row in connection.execute(first.group_by(places.image_id))}


def take_in(connection: sa.Connection, most: int) -> int:
    """Bring the lines of at most so many noted images up to date; return of how many. One that is being written waits for later."""
    notes = _NOTED.limit(most).with_for_update(
        skip_locked=True
    )  # locked before records are read: no later one is missed
    ids = tuple(connection.execute(notes).scalars())
    if not ids:
        return 0
    rows = connection.execute(sa.select(_IMAGES).where(_IMAGES.c.id.in_(ids)))
    images = page_from(IMAGE, tuple(rows.keys()), rows).records
    unlist(connection, [image.id for image in images])
    enlist(connection, images)
    _take_in_unreadable(connection, sorted(set(ids) - {image.id for image in images}))
    return len(ids)


def _take_in_unreadable(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Let lists name rows that hold no record: by name and id, with the columns as they are."""
    if not ids:
        return
    image = _IMAGES.c
    said = {
        "created_at": image.created_at,
        "image_id": image.id,
        "words": sa.func.lower(image.name) + "\n" + image.id,
        "name": sa.func.lower(image.name),
        "system": sa.func.coalesce(image.os, ""),
        **{name: image[name] for name in COPIED},
    }
    rows = sa.select(*said.values()).where(image.id.in_(ids))
    connection.execute(sa.delete(LINES_TABLE).where(_LINES.image_id.in_(ids)))
    connection.execute(sa.insert(LINES_TABLE).from_select(list(said), rows))
    connection.execute(sa.delete(BEHIND_TABLE).where(BEHIND_TABLE.c.image_id.in_(ids)))


def enlist(connection: sa.Connection, images: Sequence[Image]) -> None:
    """Write what images are found by that were just written; nothing is behind of them."""
    places = [(image, {"image_id": image.id, "created_at": image.created_at}) for image in images]
    rows_of: dict[sa.Table, list[dict[str, object]]] = {
        LINES_TABLE: [line_of(image) for image in images],
        SHARES_TABLE: [{"grantee": name, **place} for image, place in places for name in sorted(grantees(image))],
        LABELS_TABLE: [{"label": label, **place} for image, place in places for label in sorted(set(image.labels))],
    }
    for table, rows in rows_of.items():
        if rows:  # a single one by itself: as one of many it would cost a round trip more
            connection.execute(sa.insert(table), rows if len(rows) > 1 else rows[0])
    connection.execute(sa.delete(BEHIND_TABLE).where(BEHIND_TABLE.c.image_id.in_([image.id for image in images])))


def unlist(connection: sa.Connection, image_ids: Sequence[str]) -> None:
    """Take away what images are found by."""
    for table in (SHARES_TABLE, LABELS_TABLE, LINES_TABLE):
        connection.execute(sa.delete(table).where(table.c.image_id.in_(image_ids)))


def ordering(order: LineOrder, *, down: bool) -> Sequence[sa.ColumnElement[object]]:
    """Return what lines are sorted by."""
    newest = (_LINES.created_at.desc(), _LINES.image_id.desc())
    if order == "created_at":
        return newest if down else (_LINES.created_at.asc(), _LINES.image_id.asc())
    column = column_of(order)
    return (sa.case((is_nothing(column), 1), else_=0), column.desc() if down else column.asc(), *newest)


def column_of(order: LineOrder) -> sa.ColumnElement[object]:
    """Return what has an order's value."""
    return _LINES.storage if order == "image_storages" else _LINES[order]


def is_nothing(column: sa.ColumnElement[object]) -> Condition:
    """Return the condition that there is no value."""
    return column.is_(None) | (sa.cast(column, sa.Text) == "")


def conditions(query: Query, dialect: str) -> Iterator[Condition]:
    """Yield what must hold for a line."""
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
        there = sa.exists().where(here & (PLACES_TABLE.c.image_id == _LINES.image_id)).correlate(LINES_TABLE)
        yield (_LINES.storage == query.stored_on) | ((_LINES.storage < query.stored_on) & there)
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        shared = sa.select(SHARES_TABLE.c.image_id).where(
            SHARES_TABLE.c.grantee.in_(sorted(names_of(query.visible_to)))
        )
        own, public = _LINES.owner == query.visible_to.name, _LINES.sharing_mode == "global"
        yield own | public | _LINES.image_id.in_(shared)
    if query.name_pattern != "*":
        yield _named(query.name_pattern, dialect)


def _among(field: str, values: Sequence[str | int]) -> Iterator[Condition]:
    if field == "status":
        yield from no_other_status(_LINES.status, values)
    elif field in _LINES:
        yield _LINES[field] == values[0] if len(values) == 1 else _LINES[field].in_(values)
    else:
        here = (_IMAGES.c.id == _LINES.image_id) & _IMAGES.c[field].in_(values)
        yield sa.exists().where(here).correlate(LINES_TABLE)


def _named(pattern: str, dialect: str) -> Condition:
    return sa.exists().where((_IMAGES.c.id == _LINES.image_id) & named(pattern, dialect)).correlate(LINES_TABLE)

"""Lists of images by words and in the order of a column, as SQL over lines: one scan of a narrow table for any query.

An older program without lines may write at the same time. Triggers note the images that it writes (`NOTES` of
`catalog.store.lines.triggers`); noted images are listed from their records until their lines are updated.
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
"""Most records of noted images in memory at once."""
PLACELESS = datetime.min.replace(tzinfo=UTC)
"""The position of a row whose moment is invalid."""


def lines_of(
    query: Query, order: LineOrder, *, down: bool, offset: int, limit: int, dialect: str
) -> sa.Select[tuple[str]]:
    """Return the statement for the ids of a page. Images without a value come last; among equals the newest is first.

    Of a query only the fields of lines, labels, storage, words and visibility are used.
    """
    statement = sa.select(_LINES.image_id).where(*conditions(query, dialect))
    return statement.order_by(*ordering(order, down=down)).offset(offset).limit(limit)


def is_behind(connection: sa.Connection) -> bool:
    """Tell whether any image is noted."""
    return connection.execute(_NOTED.limit(1)).first() is not None


def lines_beside(
    connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int
) -> Sequence[str]:
    """Return the ids of a page, listing noted images by their records and all others by their lines.

    For a viewer who sees everything, unreadable noted rows follow the page, so that they are named. Reads one record
    for each noted image.
    """
    noted, unreadable = _noted(connection, query, order)
    skipped = max(0, offset - len(noted))  # at least so many lines come before the page, wherever the noted images are
    lines = _spots(connection, query, order, down=down, among=slice(skipped, offset + limit))
    page = sorted_spots((*lines, *noted), order, down=down)[offset - skipped : offset - skipped + limit]
    return (*(spot.image_id for spot in page), *(error.subject.partition(":")[2] for error in unreadable))


def _spots(connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, among: slice) -> Iterator[Spot]:
    """Return the positions of images that are not noted, for a range of them."""
    statement = sa.select(column_of(order), _LINES.created_at, _LINES.image_id).where(_LINES.image_id.not_in(_NOTED))
    statement = statement.where(*conditions(query, connection.dialect.name))
    statement = statement.order_by(*ordering(order, down=down)).slice(among.start, among.stop)
    for cell, moment, image_id in connection.execute(statement):
        yield Spot(value_of(cell, order), moment if isinstance(moment, datetime) else PLACELESS, image_id)


def _noted(connection: sa.Connection, query: Query, order: LineOrder) -> tuple[list[Spot], Sequence[RecordUnreadable]]:
    """Return the positions of the noted images whose records match, and the unreadable rows."""
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
    """Update the lines of up to `most` noted images; return how many. Images being written right now are skipped."""
    notes = _NOTED.limit(most).with_for_update(
        skip_locked=True
    )  # locked before the records are read: no later write is missed
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
    """Write lines for unreadable rows, with name, id and the raw columns, so that lists name them."""
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
    """Write the lines, shares and labels of just written images and remove their notes."""
    places = [(image, {"image_id": image.id, "created_at": image.created_at}) for image in images]
    rows_of: dict[sa.Table, list[dict[str, object]]] = {
        LINES_TABLE: [line_of(image) for image in images],
        SHARES_TABLE: [{"grantee": name, **place} for image, place in places for name in sorted(grantees(image))],
        LABELS_TABLE: [{"label": label, **place} for image, place in places for label in sorted(set(image.labels))],
    }
    for table, rows in rows_of.items():
        if rows:  # a single row is passed by itself: in a list it would cost one more round trip
            connection.execute(sa.insert(table), rows if len(rows) > 1 else rows[0])
    connection.execute(sa.delete(BEHIND_TABLE).where(BEHIND_TABLE.c.image_id.in_([image.id for image in images])))


def unlist(connection: sa.Connection, image_ids: Sequence[str]) -> None:
    """Delete the lines, shares and labels of images."""
    for table in (SHARES_TABLE, LABELS_TABLE, LINES_TABLE):
        connection.execute(sa.delete(table).where(table.c.image_id.in_(image_ids)))


def ordering(order: LineOrder, *, down: bool) -> Sequence[sa.ColumnElement[object]]:
    """Return the sort expressions of lines."""
    newest = (_LINES.created_at.desc(), _LINES.image_id.desc())
    if order == "created_at":
        return newest if down else (_LINES.created_at.asc(), _LINES.image_id.asc())
    column = column_of(order)
    return (sa.case((is_nothing(column), 1), else_=0), column.desc() if down else column.asc(), *newest)


def column_of(order: LineOrder) -> sa.ColumnElement[object]:
    """Return the column of an order."""
    return _LINES.storage if order == "image_storages" else _LINES[order]


def is_nothing(column: sa.ColumnElement[object]) -> Condition:
    """Return the condition that a column has no value."""
    return column.is_(None) | (sa.cast(column, sa.Text) == "")


def conditions(query: Query, dialect: str) -> Iterator[Condition]:
    """Yield the conditions on a line."""
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

"""Fetch a page far down a list without sorting everything before it: guess its start from a sample, then count.

Sorting lines takes three times as long as scanning them, and the last page in the order of a column sorts all. Ids are
random, so ids with a common prefix are a sample that an index finds. The sample gives two lines between which the page
probably lies. The lines before the first are counted, and only those between both are sorted. A wrong guess costs its
time, and then everything is sorted.
"""

from collections.abc import Sequence
from datetime import datetime
from math import isqrt

import sqlalchemy as sa

from catalog.store.lines.line import LineOrder
from catalog.store.lines.sql import Condition, column_of, conditions, is_nothing, lines_of, ordering
from catalog.store.protocol import Query
from catalog.store.tables import LINES_TABLE

FAR = 5000
"""Up to this offset, lines before a page are sorted with it: guessing would take longer."""
SAMPLED, SHARE = "04", 64
"""Ids below this are the sample, one in SHARE."""
DEVIATIONS = 3
"""Standard deviations that a guess may be off; one in 400 guesses is further off."""
_LINES = LINES_TABLE.c
Cells = Sequence[object]
"""A line's cell in the sorted column, its creation moment and its id."""


def page_of_lines(
    connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int
) -> Sequence[str]:
    """Return the ids of a page, see `lines_of`."""
    if offset > FAR and order != "created_at":  # lines are stored in the order of time
        found = _guessed(connection, query, order, down=down, offset=offset, limit=limit)
        if found is not None:
            return found
    statement = lines_of(query, order, down=down, offset=offset, limit=limit, dialect=connection.dialect.name)
    return tuple(connection.execute(statement).scalars())


def _guessed(
    connection: sa.Connection, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int
) -> Sequence[str] | None:
    """Return the ids of a page that lies between the two guessed lines of the sample; None if it does not."""
    asked = tuple(conditions(query, connection.dialect.name))
    first, last = _around(_sample(connection, asked, order, down=down), offset, limit)
    here, before = list[Condition](), 0
    if first is not None:
        ahead = _ahead(first, order, down=down)
        counted = sa.select(sa.func.count()).select_from(LINES_TABLE).where(ahead, *asked)
        before = int(connection.execute(counted).scalar_one())
        here.append(sa.not_(ahead))
    if last is not None:
        here.append(_ahead(last, order, down=down))
    if before > offset:
        return None
    # the range first: words are searched only within it
    page = sa.select(_LINES.image_id).where(*here, *asked).order_by(*ordering(order, down=down))
    found = tuple(connection.execute(page.offset(offset - before).limit(limit)).scalars())
    return found if len(found) == limit or last is None else None


def _sample(connection: sa.Connection, asked: Sequence[Condition], order: LineOrder, *, down: bool) -> Sequence[Cells]:
    """Return the sample in order, without rows whose moment is invalid."""
    cells = sa.select(column_of(order), _LINES.created_at, _LINES.image_id).where(*asked, _LINES.image_id < SAMPLED)
    rows = connection.execute(cells.order_by(*ordering(order, down=down)))
    return [tuple(row) for row in rows if isinstance(row[1], datetime)]


def _around(sample: Sequence[Cells], offset: int, limit: int) -> tuple[Cells | None, Cells | None]:
    """Return the two lines of a sample around a page; None: it may begin before the first or end after the last."""
    off = DEVIATIONS * (isqrt(offset // SHARE) + 1)
    first, last = offset // SHARE - off, (offset + limit) // SHARE + off
    begins = sample[min(first, len(sample) - 1)] if first >= 0 and sample else None
    return begins, sample[last] if last < len(sample) else None


def _ahead(place: Cells, order: LineOrder, *, down: bool) -> Condition:
    """Return the condition that a line comes before a place."""
    cell, created_at, image_id = place
    column = column_of(order)
    newer = sa.tuple_(_LINES.created_at, _LINES.image_id) > sa.tuple_(
        sa.literal(created_at, _LINES.created_at.type), sa.literal(image_id)
    )
    if cell in (None, ""):
        return sa.or_(sa.not_(is_nothing(column)), newer)
    further = column > cell if down else column < cell
    return sa.and_(sa.not_(is_nothing(column)), sa.or_(further, sa.and_(column == cell, newer)))

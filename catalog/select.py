"""Queries as SQL.

A page must cost the same wherever it is and however many images there are, so it is read off an index in order. One
index can't do that for "mine, or shared with everybody, or shared with me", nor for two statuses: such a query becomes
branches, each of which walks its own index for a page, and the pages are merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.kinds import IMAGE, Kind, Place
from catalog.query import Query
from catalog.records import ImageStatus, Record
from catalog.rules.sharing import ADMIN, names_of
from catalog.tables import SHARES_TABLE, TABLES

Condition = sa.ColumnElement[bool]
Statement = sa.Select[tuple[object, ...]]
Columns = Sequence[sa.ColumnElement[object]]
_IMAGES = TABLES[IMAGE.table]
_SELECTIVE = ("owner", "family")  # fields whose own index finds less than a status would
_SHARED_ORDER: Mapping[str, str] = {"id": "image_id"}  # names in the table of shares


@dataclass(frozen=True)
class Branch:
    """A part of the images, in order off one index: by a condition, or by whom they are shared with."""

    conditions: tuple[Condition, ...] = ()
    grantee: str | None = None


def page_of(kind: Kind[Record], query: Query, after: Place | None, limit: int, dialect: str) -> Statement:
    """Return the statement for a page: at most `limit` records behind the place `after`, in the kind's order."""
    table = TABLES[kind.table]
    filters = tuple(_filters(kind, query, dialect))
    branches = tuple(_branches(query)) if table is _IMAGES else (Branch(),)
    order = [table.c[field] for field in kind.order()]
    if len(branches) == 1:
        return _in_order(kind, sa.select(table).where(*filters, *branches[0].conditions), order, after, limit)
    pages = [_page_of_branch(kind, branch, filters, after, limit) for branch in branches]
    merged = sa.union(*(sa.select(page) for page in pages)).subquery()
    return _in_order(kind, sa.select(table).join(merged, table.c.id == merged.c.id), order, None, limit)


def _page_of_branch(
    kind: Kind[Record], branch: Branch, filters: Sequence[Condition], after: Place | None, limit: int
) -> sa.Subquery:
    """Return the keys of a branch's page."""
    statement = sa.select(_IMAGES.c.id).where(*filters, *branch.conditions)
    order: Columns = [_IMAGES.c[field] for field in kind.order()]
    if branch.grantee is not None:
        shares = SHARES_TABLE
        statement = statement.join(shares, shares.c.image_id == _IMAGES.c.id)
        statement = statement.where(shares.c.grantee == branch.grantee)
        order = [shares.c[_SHARED_ORDER.get(field, field)] for field in kind.order()]
    return _in_order(kind, statement, order, after, limit).subquery()


def _in_order(
    kind: Kind[Record], statement: Statement, order: Columns, after: Place | None, limit: int
) -> Statement:
    if after is not None:
        place, bound = sa.tuple_(*order), sa.tuple_(*after, types=[column.type for column in order])
        statement = statement.where(place < bound if kind.newest_first else place > bound)
    ordered = [column.desc() for column in order] if kind.newest_first else order
    return statement.order_by(*ordered).limit(limit)


def _branches(query: Query) -> Iterator[Branch]:
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        yield Branch((_IMAGES.c.owner == query.visible_to.name,))
        yield Branch((_IMAGES.c.sharing_mode == "global",))
        for grantee in sorted(names_of(query.visible_to)):
            yield Branch(grantee=grantee)
    elif _by_status(query):
        for status in query.among["status"]:
            yield Branch((_IMAGES.c.status == status,))
    else:
        yield Branch()


def _by_status(query: Query) -> bool:
    """Tell whether the index of statuses is the one to walk: few statuses, and nothing that finds less."""
    found_better = any(f in query.among for f in _SELECTIVE) or _is_exact(query.name_pattern)
    return 1 <= len(query.among.get("status", ())) <= 2 and not found_better


def _is_exact(pattern: str) -> bool:
    return not set(pattern) & set("*?")


def _filters(kind: Kind[Record], query: Query, dialect: str) -> Iterator[Condition]:
    """Yield what must hold for a row, whatever branch it comes from."""
    table = TABLES[kind.table]
    for field, values in query.among.items():
        if table is _IMAGES and field == "status":
            yield from _no_other_status(values)
        else:
            yield table.c[field] == values[0] if len(values) == 1 else table.c[field].in_(values)
    if query.up_to is not None:
        yield table.c.sequence <= query.up_to
    if table is _IMAGES:
        yield from _image_filters(query, dialect)


def _no_other_status(values: tuple[str | int, ...]) -> Iterator[Condition]:
    # "none of the others": an IN would tempt SQLite to walk each status and sort them all for every page
    others = [status.value for status in ImageStatus if status.value not in values]
    if others:
        yield _IMAGES.c.status.not_in(others)


def _image_filters(query: Query, dialect: str) -> Iterator[Condition]:
    if query.changed_since is not None:
        yield _IMAGES.c.updated_at >= query.changed_since
    if query.stored_on is not None:
        yield _stored_on(query.stored_on)
    if query.name_pattern != "*":
        yield _named(query.name_pattern, dialect)


def _stored_on(storage: str) -> Condition:
    replicas = TABLES["replicas"]
    here = (replicas.c.image_id == _IMAGES.c.id) & (replicas.c.image_storage == storage)
    return sa.exists().where(here).correlate(_IMAGES)


def _named(pattern: str, dialect: str) -> Condition:
    column = _IMAGES.c.name
    if _is_exact(pattern):
        return column == pattern
    if dialect == "sqlite":  # its LIKE ignores case
        return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")

"""Translate queries to SQL.

A page must cost the same wherever it is and however many images there are, so it is read from an index in order. One
index can't do that for "mine, or shared with everybody, or shared with me", nor for two statuses: such a query becomes
several branches, each of which walks its own index for a page, and the pages are merged. The images of a storage and
the shares of images are tables of keys in the order of listings. Names are found by their prefix if there are few
matches.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.records import Account, ImageStatus, Record
from catalog.rules.accounts.sharing import ADMIN, names_of
from catalog.store.protocol import Query
from catalog.store.record_kinds import IMAGE, Place, RecordKind
from catalog.store.tables import LABELS_TABLE, PLACES_TABLE, SHARES_TABLE, TABLES

Condition = sa.ColumnElement[bool]
Statement = sa.Select[tuple[object, ...]]
Columns = Sequence[sa.ColumnElement[object]]
_IMAGES = TABLES[IMAGE.table]
_SELECTIVE = ("owner", "family")  # fields whose index matches fewer images than a status does
_KEYS_ORDER: Mapping[str, str] = {"id": "image_id"}  # names in tables of keys
LAST = chr(sys.maxunicode)


@dataclass(frozen=True)
class Branch:
    """A part of the images, read in order from one index: their own, or that of the table of keys in the conditions."""

    conditions: tuple[Condition, ...] = ()
    keys: sa.Table | None = None


def page_of(
    kind: RecordKind[Record],
    query: Query,
    after: Place | None,
    limit: int,
    dialect: str,
    *,
    by_name: bool = False,
) -> Statement:
    """Return the statement for a page: at most `limit` records after the place `after`, in the kind's order.

    by_name: the images with matching names are few enough to sort, or already in order.
    """
    table = TABLES[kind.table]
    filters = tuple(filters_of(kind, query, dialect))
    order = [table.c[field] for field in kind.order()]
    if by_name:
        return _in_order(kind, _by_name(query, filters), order, after, limit)
    branches = tuple(_branches(query)) if table is _IMAGES else (Branch(),)
    if len(branches) == 1 and branches[0].keys is None:
        return _in_order(kind, sa.select(table).where(*filters, *branches[0].conditions), order, after, limit)
    pages = [_page_of_branch(kind, branch, filters, after, limit) for branch in branches]
    merged = sa.union(*(sa.select(page) for page in pages)).subquery()
    return _in_order(kind, sa.select(table).join(merged, table.c.id == merged.c.id), order, None, limit)


def _page_of_branch(
    kind: RecordKind[Record], branch: Branch, filters: Sequence[Condition], after: Place | None, limit: int
) -> sa.Subquery:
    """Return the keys of a branch's page."""
    statement = sa.select(_IMAGES.c.id).where(*filters, *branch.conditions)
    order: Columns = [_IMAGES.c[field] for field in kind.order()]
    if branch.keys is not None:
        statement = statement.join(branch.keys, branch.keys.c.image_id == _IMAGES.c.id)
        order = [branch.keys.c[_KEYS_ORDER.get(field, field)] for field in kind.order()]
    return _in_order(kind, statement, order, after, limit).subquery()


def _in_order(
    kind: RecordKind[Record], statement: Statement, order: Columns, after: Place | None, limit: int
) -> Statement:
    if after is not None:
        values = [sa.literal(value, column.type) for value, column in zip(after, order, strict=True)]
        place, bound = sa.tuple_(*order), sa.tuple_(*values)
        statement = statement.where(place < bound if kind.newest_first else place > bound)
    ordered = [column.desc() for column in order] if kind.newest_first else order
    return statement.order_by(*ordered).limit(limit)


def _branches(query: Query) -> Iterator[Branch]:
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        yield Branch((_IMAGES.c.owner == query.visible_to.name,))
        yield Branch((_IMAGES.c.sharing_mode == "global",))
        for grantee in sorted(names_of(query.visible_to)):
            yield Branch((SHARES_TABLE.c.grantee == grantee,), SHARES_TABLE)
    elif query.labels:
        yield Branch((LABELS_TABLE.c.label == query.labels[0],), LABELS_TABLE)
    elif _by_place(query):
        yield Branch((PLACES_TABLE.c.image_storage == query.stored_on,), PLACES_TABLE)
    elif _by_status(query):
        for status in query.among["status"]:
            yield Branch((_IMAGES.c.status == status,))
    else:
        yield Branch()


def _by_place(query: Query) -> bool:
    """Tell whether to walk the images of a storage: no other condition is likely to match fewer."""
    most = ImageStatus.READY.value in query.among.get("status", (ImageStatus.READY.value,))
    return query.stored_on is not None and most and not any(f in query.among for f in _SELECTIVE)


def _by_status(query: Query) -> bool:
    """Tell whether to walk the index of statuses: few statuses, and no condition that matches fewer images."""
    found_better = any(f in query.among for f in _SELECTIVE)
    return 1 <= len(query.among.get("status", ())) <= 2 and not found_better


def _by_name(query: Query, filters: Sequence[Condition]) -> Statement:
    """Return the query by the index of names; without the hint SQLite would walk all images in order."""
    statement = sa.select(_IMAGES).where(*filters, *_name_range(query.name_pattern))
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        statement = statement.where(_visible(query.visible_to))
    return statement.with_hint(_IMAGES, "INDEXED BY ix_images_name_created_at_id", "sqlite")


def _visible(account: Account) -> Condition:
    shares = SHARES_TABLE.c
    shared = sa.select(shares.image_id).where(shares.grantee.in_(sorted(names_of(account))))
    own, public = _IMAGES.c.owner == account.name, _IMAGES.c.sharing_mode == "global"
    # a CASE, as SQLite would otherwise use a separate index for each side of the OR, whatever the hint
    return sa.case((own | public | _IMAGES.c.id.in_(shared), 1), else_=0) == 1


def names_asked(query: Query) -> sa.Select[tuple[int]] | None:
    """Return the statement for the names with the pattern's prefix; None: it begins with `*` or `?`."""
    if not _prefix(query.name_pattern):
        return None
    return sa.select(sa.literal(1)).select_from(_IMAGES).where(*_name_range(query.name_pattern))


def names_in_order(query: Query) -> bool:
    """Tell whether the index of names gives matching images in order: the pattern is an exact name."""
    return _is_exact(query.name_pattern) and query.visible_to is None


def _name_range(pattern: str) -> Iterator[Condition]:
    if _is_exact(pattern):
        yield _IMAGES.c.name == pattern
        return
    prefix = _prefix(pattern)
    yield _IMAGES.c.name >= prefix
    if prefix.rstrip(LAST):
        yield _IMAGES.c.name < _behind(prefix.rstrip(LAST))


def _prefix(pattern: str) -> str:
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


def _behind(prefix: str) -> str:
    """Return the first text after all texts with this prefix; both databases order text by code points."""
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)  # skips surrogates, which no text has


def _is_exact(pattern: str) -> bool:
    return not set(pattern) & set("*?")


def filters_of(kind: RecordKind[Record], query: Query, dialect: str) -> Iterator[Condition]:
    """Yield the conditions on a row in any branch."""
    table = TABLES[kind.table]
    for field, values in query.among.items():
        if table is _IMAGES and field == "status":
            yield from no_other_status(_IMAGES.c.status, values)
        else:
            yield table.c[field] == values[0] if len(values) == 1 else table.c[field].in_(values)
    if query.up_to is not None:
        yield table.c.sequence <= query.up_to
    if table is _IMAGES:
        yield from _image_filters(query, dialect)


def no_other_status(column: sa.ColumnElement[object], values: Sequence[str | int]) -> Iterator[Condition]:
    """Yield the condition for statuses, if any. A row with an unknown status is in every list, so that it is named."""
    # NOT IN the others, as with IN SQLite would walk each status and sort them all for every page
    others = [status.value for status in ImageStatus if status.value not in values]
    if others:
        yield column.not_in(others)


def _image_filters(query: Query, dialect: str) -> Iterator[Condition]:
    if query.changed_since is not None:
        yield _IMAGES.c.updated_at >= query.changed_since
    if query.expired_at is not None:
        yield _IMAGES.c.expires_at <= query.expired_at
    for label in query.labels:
        here = (LABELS_TABLE.c.image_id == _IMAGES.c.id) & (LABELS_TABLE.c.label == label)
        yield sa.exists().where(here).correlate(_IMAGES)
    if query.stored_on is not None:
        yield _stored_on(query.stored_on)
    if query.name_pattern != "*":
        yield named(query.name_pattern, dialect)


def _stored_on(storage: str) -> Condition:
    replicas = TABLES["replicas"]
    here = (replicas.c.image_id == _IMAGES.c.id) & (replicas.c.image_storage == storage)
    return sa.exists().where(here).correlate(_IMAGES)


def named(pattern: str, dialect: str) -> Condition:
    """Return the condition that an image's name matches a pattern."""
    column = _IMAGES.c.name
    if _is_exact(pattern):
        return column == pattern
    if (
        dialect == "sqlite"
    ):  # SQLite's LIKE ignores case; and it must see no range of names here, or it sorts a million of them
        return (column + "").op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")

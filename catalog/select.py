"""Queries as SQL conditions."""

from collections.abc import Iterator

import sqlalchemy as sa

from catalog.kinds import Kind
from catalog.query import Query
from catalog.records import Account, Record
from catalog.rules.sharing import ADMIN, names_of
from catalog.tables import SHARES_TABLE, TABLES

Condition = sa.ColumnElement[bool]


def order_columns(kind: Kind[Record]) -> "list[sa.Column[object]]":
    """Return the columns that listings of a kind are ordered by."""
    return [TABLES[kind.table].c[field] for field in kind.order()]


def conditions(kind: Kind[Record], query: Query, dialect: str) -> Iterator[Condition]:
    """Yield what must hold for a row."""
    table = TABLES[kind.table]
    for field, values in query.among.items():
        yield table.c[field] == values[0] if len(values) == 1 else table.c[field].in_(values)
    for field, value in query.above.items():
        yield table.c[field] > value
    if query.until is not None:
        yield table.c.at <= query.until
    if query.changed_since is not None:
        yield table.c.updated_at >= query.changed_since
    if query.stored_on is not None:
        yield _stored_on(table, query.stored_on)
    if query.name_pattern != "*":
        yield _named(table.c.name, query.name_pattern, dialect)
    if query.visible_to is not None and query.visible_to.name != ADMIN:
        yield _visible(table, query.visible_to)


def _stored_on(images: sa.Table, storage: str) -> Condition:
    replicas = TABLES["replicas"]
    here = (replicas.c.image_id == images.c.id) & (replicas.c.image_storage == storage)
    return sa.exists().where(here).correlate(images)


def _named(column: "sa.Column[str]", pattern: str, dialect: str) -> Condition:
    if not set(pattern) & set("*?"):
        return column == pattern
    if dialect == "sqlite":  # its LIKE ignores case
        return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")


def _visible(images: sa.Table, account: Account) -> Condition:
    named = sa.select(SHARES_TABLE.c.image_id).where(SHARES_TABLE.c.grantee.in_(sorted(names_of(account))))
    return sa.or_(images.c.owner == account.name, images.c.sharing_mode == "global", images.c.id.in_(named))

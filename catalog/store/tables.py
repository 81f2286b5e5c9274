"""The tables of the catalog, derived from the records, so that each field is defined once.

Text, numbers, booleans and times are columns, so that SQL (listings, data quality) can query them; nested values are
JSON. A new field also needs a migration; a test compares both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import sqlalchemy as sa

from catalog.records import Record
from catalog.store.lines.line import COPIED
from catalog.store.record_kinds import IMAGE, RECORD_KINDS, RecordKind

SCHEMA = "0016"  # newest revision in migrations/versions
OLDEST = "0008"
"""Oldest revision whose programs may still use this schema. It stays while revisions only add, so that hosts can be
upgraded one by one."""
SHARES = "image_shares"
PLACES = "image_places"
LABELS = "image_labels"

Column = str | int | float | bool | datetime | list[object] | dict[str, object] | None


@dataclass(frozen=True)
class Unparsed:
    """Stands for a cell whose text does not fit its column's type; no field of a record accepts it.

    told: the defect.
    """

    told: str


class UtcTime(sa.TypeDecorator[datetime]):
    """A timezone-aware moment, stored as UTC; SQLite has no time zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times rather than guess their zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; times in the catalog are aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Add the time zone that SQLite does not store."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Return `Unparsed` for an invalid cell, so that it does not end the whole result."""
        process = super().result_processor(dialect, coltype)

        def tolerant(value: Any) -> Any:
            try:
                return process(value) if process else value
            except (ValueError, TypeError):
                return Unparsed(f"is no moment: {value!r}")

        return tolerant


_JSON = sa.JSON(none_as_null=True)  # not JSONB: its dialect takes 40 ms to import, and nothing searches inside
# byte order everywhere: pages must not depend on the database's locale
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TYPES: Mapping[type, sa.types.TypeEngine[object]] = cast(
    "Mapping[type, sa.types.TypeEngine[object]]",
    {bool: sa.Boolean(), int: _BIG, float: sa.Float(), datetime: UtcTime(), str: _TEXT},
)


def _base(annotation: object) -> tuple[object, bool]:
    """Return the annotation without None, and whether None was allowed."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [part for part in get_args(annotation) if part is not NoneType]
        return (rest[0], len(rest) < len(get_args(annotation))) if len(rest) == 1 else (annotation, True)
    return annotation, False


def column_type(annotation: object) -> sa.types.TypeEngine[object]:
    """Return the column type of a record field."""
    base, _ = _base(annotation)
    if get_origin(base) is Literal or (isinstance(base, type) and issubclass(base, Enum)):
        base = str
    return _TYPES.get(cast("type", base), cast("sa.types.TypeEngine[object]", _JSON))


def _column(kind: RecordKind[Record], name: str, annotation: object) -> "sa.Column[object]":
    parent = sa.ForeignKey(f"{kind.references}.id") if kind.references and name == "image_id" else None
    return sa.Column(
        name,
        column_type(annotation),
        *([parent] if parent is not None else []),
        primary_key=name in kind.key,
        nullable=_base(annotation)[1],
        autoincrement=False,
    )


def _table(kind: RecordKind[Record]) -> sa.Table:
    columns = [_column(kind, name, field.annotation) for name, field in kind.record.model_fields.items()]
    indexes = [sa.Index(f"ix_{kind.table}_{'_'.join(fields)}", *fields) for fields in kind.indexes]
    return sa.Table(kind.table, METADATA, *columns, *indexes)


def _keys_table(name: str, found_by: str) -> sa.Table:
    """Return a table of image keys in the order of listings, found by a value that is no column of images."""
    return sa.Table(
        name,
        METADATA,
        sa.Column(found_by, _TEXT, primary_key=True),
        sa.Column("created_at", UtcTime(), primary_key=True),
        sa.Column("image_id", _TEXT, sa.ForeignKey("images.id"), primary_key=True),
        sa.Index(f"ix_{name}_image_id", "image_id"),
    )


METADATA = sa.MetaData()
TABLES: Mapping[str, sa.Table] = {kind.table: _table(kind) for kind in RECORD_KINDS}
SHARES_TABLE = _keys_table(SHARES, "grantee")
"""Grantee → shared images, so that the images visible to an account are found without reading JSON."""
PLACES_TABLE = _keys_table(PLACES, "image_storage")
"""Storage → its images in the order of listings, which replicas don't give: they lack the age of the image."""
LABELS_TABLE = _keys_table(LABELS, "label")
"""Label → its images."""
LINES_TABLE = sa.Table(
    "image_lines",
    METADATA,
    sa.Column("created_at", UtcTime(), primary_key=True),
    # an older program deletes images without their lines
    sa.Column("image_id", _TEXT, sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    *(sa.Column(name, _TEXT, nullable=False) for name in ("words", "name", "system")),
    *(_column(IMAGE, name, IMAGE.record.model_fields[name].annotation) for name in COPIED),
    sa.Column("storage", _TEXT),  # the first one that holds it
    sa.Index("ix_image_lines_image_id", "image_id"),
    sa.Index(
        "ix_image_lines_narrow", "created_at", "image_id", *COPIED, "name", "system", "storage"
    ),  # all but the words
    sqlite_with_rowid=False,
)
"""Lines, by which lists of images are searched and sorted (`catalog.store.lines`): narrow, and on disk in the order of
lists. A query without words scans only the index, a third of the bytes."""
BEHIND_TABLE = sa.Table(
    "image_lines_behind",
    METADATA,
    sa.Column("image_id", _TEXT, sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)
"""Notes: images whose record was written without their line, by an older program. Triggers write the notes."""


JSON_FIELDS: Mapping[str, frozenset[str]] = {
    name: frozenset(c.name for c in table.columns if c.type is _JSON) for name, table in TABLES.items()
}


def row_of(kind: RecordKind[Record], record: Record) -> dict[str, Column]:
    """Return a record's columns."""
    nested = JSON_FIELDS[kind.table]
    row = record.model_dump(mode="json", include=set(nested)) if nested else {}
    for name in kind.record.model_fields:
        if name not in nested:
            value = getattr(record, name)
            row[name] = value.value if isinstance(value, Enum) else value
    return row

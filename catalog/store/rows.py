"""Convert database rows to records; an unreadable row is named and hides no other."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar, cast

import pydantic_core
from pydantic import ValidationError

from catalog.errors import RecordUnreadable
from catalog.records import Record
from catalog.store.protocol import Page
from catalog.store.record_kinds import Place, RecordKind
from catalog.store.tables import Unparsed

R = TypeVar("R", bound=Record)


def from_json(text: str) -> object:
    """Parse JSON; return `Unparsed` for invalid text, so that one bad cell does not end the whole result."""
    try:
        return pydantic_core.from_json(text)  # takes half the time of json.loads for the log
    except ValueError:
        return Unparsed(f"is not JSON: {text[:40]!r}")


def record_from(kind: RecordKind[R], row: Mapping[str, object]) -> R:
    """Return the record of a row. Raises RecordUnreadable."""
    try:
        return kind.record.model_validate(row)
    except ValidationError as error:
        raise _unreadable(kind, row, error) from error


def page_from(kind: RecordKind[R], names: Sequence[str], rows: Iterable[Sequence[object]]) -> Page[R]:
    """Return the page of these rows. names: of their columns."""
    valid, found = kind.record.model_validate, list[R]()
    bad: list[RecordUnreadable] = []
    last: Mapping[str, object] | None = None
    for values in rows:
        row = dict(zip(names, values, strict=True))  # mappings() takes twice as long
        try:
            found.append(valid(row))
            last = row
        except ValidationError as error:
            bad.append(_unreadable(kind, row, error))
            last = row if _has_place(kind, row) else last
    return Page(found, bad, None if last is None else _place(kind, last))


def _place(kind: RecordKind[Record], row: Mapping[str, object]) -> Place:
    return tuple(cast("str | int | datetime", row[field]) for field in kind.order())


def _has_place(kind: RecordKind[Record], row: Mapping[str, object]) -> bool:
    return all(isinstance(row[field], str | int | datetime) for field in kind.order())


def _unreadable(kind: RecordKind[Record], row: Mapping[str, object], error: ValidationError) -> RecordUnreadable:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"])) or "row"
    given = first["input"]
    told = given.told if isinstance(given, Unparsed) else f"is {given!r}"
    return RecordUnreadable(kind.subject(tuple(str(row[name]) for name in kind.key)), f"its {where} {told}")

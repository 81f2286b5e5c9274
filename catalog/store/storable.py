"""Values that every database can store: PostgreSQL has no NUL and no lone surrogates, SQLite no time zones."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from catalog.records import Record

R = TypeVar("R", bound=Record)
_UTC = timedelta(0)


def storable(record: R) -> R:
    """Return the record with unstorable characters replaced by U+FFFD and moments in UTC.

    Such characters come from servers' error messages; a failed image must not stay Downloading because its reason can't
    be stored. Raises ValueError for a moment without a time zone: guessing one would be worse.
    """
    values = record.model_dump()
    return type(record).model_validate(_clean(values)) if _unfit(values) else record


def _unfit(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value or not (value.isascii() or _encodes(value))
    if isinstance(value, datetime):
        return value.utcoffset() != _UTC
    if isinstance(value, dict):
        return any(_unfit(part) for part in (*value.keys(), *value.values()))
    return isinstance(value, list | tuple) and any(_unfit(part) for part in value)


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; moments in the catalog are UTC")
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {_clean(key): _clean(part) for key, part in value.items()}
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value

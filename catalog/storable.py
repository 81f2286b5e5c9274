"""Text that every database can keep: PostgreSQL knows neither NUL nor half of a surrogate pair."""

from typing import TypeVar

from catalog.records import Record

R = TypeVar("R", bound=Record)


def storable(record: R) -> R:
    """Return the record with unstorable characters replaced by U+FFFD.

    They come from servers' error messages; a failed image must not stay Downloading because its reason can't be kept.
    """
    values = record.model_dump()
    cleaned = {name: _clean(value) for name, value in values.items()}
    return record if cleaned == values else type(record).model_validate(cleaned)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _clean_text(value)
    if isinstance(value, dict):
        return {_clean(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return value


def _clean_text(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

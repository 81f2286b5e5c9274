"""Wrong input as one sentence: what was given, and what is allowed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from catalog.errors.telling import beginning

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


ALLOWED: Mapping[str, str] = {
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "at least {min_length}",
    "extra_forbidden": "there is no such field",
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    **dict.fromkeys(
        ("datetime_parsing", "datetime_type", "datetime_from_date_parsing"),
        "a moment such as 2026-03-01T12:00:00Z",
    ),
}
"""What pydantic complains of → what is allowed."""
KINDS: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def sentence(error: "ValidationError") -> str:
    """Return the first broken field of a request as one sentence."""
    first = error.errors()[0]
    return sentence_of_details(first, str(first["loc"][0]) if first["loc"] else "request")


def sentence_of_details(found: "ErrorDetails", field: str) -> str:
    """Return what is wrong with one field as a sentence."""
    if found["type"] == "missing":
        return f"{field}: it is missing, and has to be given"
    return f"{field}: {_plain(found['input'])} is not allowed; {_allowed(found)}"


def _allowed(error: "ErrorDetails") -> str:
    facts = {name: _whole(value) for name, value in error.get("ctx", {}).items()}
    said = ALLOWED.get(error["type"])
    return said.format_map({**facts, "expected": _listed(facts.get("expected"))}) if said else error["msg"]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(expected: object) -> str:
    """Return pydantic's list of choices without its quotes."""
    return str(expected).replace("'", "").replace(" or ", ", ")


def _plain(given: object) -> str:
    return "nothing" if given in ((), []) else beginning(repr(given))

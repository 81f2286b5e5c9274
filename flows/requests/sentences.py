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
    "too_long": "a list with a length of {max_length} or less",
    "string_too_short": "a text with a length of {min_length} or more",
    "string_too_long": "a text with a length of {max_length} or less",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "timezone_aware": "a moment with its zone, such as 2026-03-01T12:00:00Z",
    "extra_forbidden": "there is no such field",
    **dict.fromkeys(("int_parsing", "int_parsing_size", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    "finite_number": "a finite number",
    "string_type": "a text",
    "json_invalid": "JSON",
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    **dict.fromkeys(
        ("datetime_parsing", "datetime_type", "datetime_from_date_parsing"),
        "a moment such as 2026-03-01T12:00:00Z",
    ),
}
"""What pydantic complains of → what is allowed."""
WHOLE = "request"
"""What a request is called where no field of it is wrong, but all of it."""
SECRET = ("password", "token")
"""Words in the names of fields whose values are repeated to nobody."""
HIDDEN = "what was given"
KINDS: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def sentence(error: "ValidationError") -> str:
    """Return the first broken field of a request as one sentence."""
    first = error.errors()[0]
    return sentence_of_details(first, str(first["loc"][0]) if first["loc"] else WHOLE)


def sentence_of_details(found: "ErrorDetails", field: str) -> str:
    """Return what is wrong with one field as a sentence."""
    if found["type"] == "missing":
        return f"{field}: it is missing, and has to be given"
    return f"{field}: {_plain(found['input'])} is not allowed; {_allowed(found)}"


def discreet_sentence(error: "ValidationError") -> str:
    """Return the first broken field as one sentence that repeats nothing that may be a password or a token.

    Nor what stands in a field that there is not: its name may be one that is misspelt.
    """
    first = error.errors()[0]
    first = {**first, "input": HIDDEN} if first["type"] == "extra_forbidden" else first
    return discreet_sentence_of_details(first, ".".join(str(part) for part in first["loc"]) or WHOLE)


def discreet_sentence_of_details(found: "ErrorDetails", field: str) -> str:
    """Return what is wrong with one field, or with the whole request, as `discreet_sentence` does."""
    if found["type"] == "json_invalid":
        return f"{WHOLE}: it is no JSON"
    secret = field == WHOLE or any(one in field for one in SECRET)
    return sentence_of_details({**found, "input": HIDDEN} if secret else found, field)


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
    if given in ((), []):
        return "nothing"
    return beginning(repr(given.decode("utf-8", "replace") if isinstance(given, bytes) else given))

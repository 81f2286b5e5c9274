"""Wrong input as one sentence: what was given, and what is allowed."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import CycloptsError
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
    field = str(first["loc"][0]) if first["loc"] else "request"
    if first["type"] == "missing":
        return f"{field}: it is missing, and has to be given"
    return f"{field}: {_plain(first['input'])} is not allowed; {_allowed(first)}"


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
    return "nothing" if given in ((), []) else repr(given)


def usage_sentence(error: "CycloptsError") -> str:
    """Return what can't be understood of a command line as one sentence."""
    from cyclopts.exceptions import UnknownCommandError, UnknownOptionError, UnusedCliTokensError

    command = " ".join(("imagewright", *(error.command_chain or ())))
    help_ = f"`{command} --help` says what is taken"
    if isinstance(error, UnknownCommandError):
        return _unknown(str((error.unused_tokens or ("",))[0]), _commands(error), "command")
    if isinstance(error, UnknownOptionError):
        options = [name for argument in error.argument_collection for name in argument.names]
        return _unknown(str(error.token.keyword or error.token.value), options, "option", help_)
    if isinstance(error, UnusedCliTokensError):
        return f"{' '.join(map(repr, error.unused_tokens or ()))} is more than {command} takes; {help_}"
    return _of_argument(error, command, help_) or " ".join(str(error).split())


def _of_argument(error: "CycloptsError", command: str, help_: str) -> str:
    """Return what is wrong with one known argument, "" where its own words have to do."""
    from cyclopts.exceptions import ArgumentOrderError, CoercionError, MissingArgumentError

    if not error.argument:
        return ""
    if isinstance(error, ArgumentOrderError):
        return f"{error.token!r} comes after an option, so its own name is needed: {error.argument.name}; {help_}"
    if isinstance(error, MissingArgumentError):
        return f"{error.argument.name}: it is missing, or has no value; {help_}"
    if isinstance(error, CoercionError) and error.token:
        allowed = KINDS.get(error.target_type, f"what `{command} --help` says")
        return f"{error.argument.name}: {error.token.value!r} is not allowed; {allowed}"
    return ""


def _commands(error: "CycloptsError") -> list[str]:
    return list(error.app) if error.app else []


def _unknown(given: str, known: list[str], kind: str, else_: str = "`imagewright --help` lists them") -> str:
    near = get_close_matches(given, known, n=1)
    return f"there is no {kind} {given!r}; {f'is {near[0]} meant?' if near else else_}"

"""Describe wrong usage of the command in one sentence."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from flows.requests.sentences import KINDS

if TYPE_CHECKING:
    from cyclopts import CycloptsError


def usage_sentence(error: "CycloptsError") -> str:
    """Return one sentence about the invalid part of a command line."""
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
    """Return what is wrong with a known argument, "" if the original message has to do."""
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

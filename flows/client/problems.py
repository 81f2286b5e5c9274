"""Turn a service's refusals into the errors that the same call raises on its own host."""

from collections.abc import Mapping

from catalog import errors
from catalog.errors import ImagewrightError
from flows.client.errors import RunFailed, ServiceRefused
from flows.client.records import RunState

MEMBERS = ("type", "title", "status", "detail", "instance")
"""Members defined by RFC 9457; all others are values of the error."""
PREFIX = "error_"
"""Prefix of a value with the name of such a member."""
MOST_TOLD = 4000
UNAUTHORIZED, TOO_MANY = 401, 429


def refusal(url: str, status: int, said: object, retry_after_s: float | None = None) -> ImagewrightError:
    """Return a service's refusal as an error. said: the JSON of its answer, None if there was none."""
    told = {str(name): value for name, value in said.items()} if isinstance(said, Mapping) else {}
    kind, sentence = str(told.get("type", "")), plain_text(told.get("detail") or told.get("error") or "")
    values = {_value_name(name): value for name, value in told.items() if name not in MEMBERS}
    if status == TOO_MANY and retry_after_s is not None:
        values.setdefault("retry_after_s", retry_after_s)
    if status == UNAUTHORIZED and not sentence:  # an answer to HEAD has no body
        return errors.NotSignedIn(f"the token that was given is not, or no longer, known to {url}")
    return _named(kind, sentence, values) or ServiceRefused(url, status, kind, sentence, retry_after_s)


def failure(state: RunState) -> ImagewrightError:
    """Return a run's error."""
    told = state.error or {}
    kind, sentence = str(told.get("type", "")), plain_text(told.get("detail", ""))
    values = {name: value for name, value in told.items() if name not in ("type", "detail")}
    reason = sentence or plain_text(state.message) or "it ended without a word"
    return _named(kind, sentence, values) or RunFailed(str(state.run), state.state, reason)


def _value_name(name: str) -> str:
    plain = name.removeprefix(PREFIX)
    return plain if plain in MEMBERS else name


def _named(kind: str, sentence: str, values: Mapping[str, object]) -> ImagewrightError | None:
    """Return an error of the class of that name, None if there is no such class."""
    found = getattr(errors, kind) if kind in errors.__all__ else None
    if not (isinstance(found, type) and issubclass(found, ImagewrightError)):
        return None
    error = found.__new__(found, sentence)
    error.__dict__.update(values)
    return error


def plain_text(said: object) -> str:
    """Return a service's text as one line without control characters for a terminal."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(said)[:MOST_TOLD])
    return " ".join(words.split())

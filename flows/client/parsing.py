"""Parse a service's answers into records. Fields that only a newer service knows are ignored."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from catalog.records import Record
from flows.client.errors import AnswerNotUnderstood

R = TypeVar("R", bound=Record)


def parsed(kind: type[R], said: object, address: str) -> R:
    """Return a record. said: JSON, as text or parsed. Raises AnswerNotUnderstood."""
    try:
        if isinstance(said, bytes):
            return kind.model_validate_json(said, extra="ignore")
        return kind.model_validate(said, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise AnswerNotUnderstood(address, f"what is no {kind.__name__} ({place}: {first['msg']})") from error


def member(said: object, name: str, address: str) -> object:
    """Return a member of an object. Raises AnswerNotUnderstood if it is missing."""
    if not isinstance(said, Mapping) or name not in said:
        raise AnswerNotUnderstood(address, f"without {name!r}")
    return said[name]

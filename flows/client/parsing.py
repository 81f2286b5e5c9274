"""What a service answers, as our records. A newer service may say more than we know: that is left out."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from catalog.records import Record
from flows.client.errors import AnswerNotUnderstood

R = TypeVar("R", bound=Record)


def parsed(kind: type[R], said: object, address: str) -> R:
    """Return a record. said: JSON as text or as Python has it. Raises AnswerNotUnderstood."""
    try:
        if isinstance(said, bytes):
            return kind.model_validate_json(said, extra="ignore")
        return kind.model_validate(said, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise AnswerNotUnderstood(address, f"what is no {kind.__name__} ({place}: {first['msg']})") from error


def member(said: object, name: str, address: str) -> object:
    """Return a member of an object. Raises AnswerNotUnderstood where it is not there."""
    if not isinstance(said, Mapping) or name not in said:
        raise AnswerNotUnderstood(address, f"without {name!r}")
    return said[name]

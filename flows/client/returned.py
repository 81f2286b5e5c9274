"""Parse an operation's result into the records that its flow returns."""

from typing import cast

from pydantic import TypeAdapter, ValidationError

from catalog.records import Record
from flows.client.errors import AnswerNotUnderstood
from flows.client.results import RESULTS

Result = Record | tuple[Record, ...] | None
"""An operation's result; None if it was too large for the service to store."""


def returned(operation: str, said: object, address: str) -> Result:
    """Return a result. operation: name of the flow; said: the JSON that the service stored.

    Raises AnswerNotUnderstood.
    """
    if said is None:
        return None
    if operation not in RESULTS:
        raise AnswerNotUnderstood(address, f"what an operation returned that is not known here, {operation!r}")
    kinds: TypeAdapter[Result] = TypeAdapter(cast("type[Result]", RESULTS[operation]))
    try:
        return kinds.validate_python(said, extra="ignore")
    except ValidationError as error:
        raise AnswerNotUnderstood(address, f"what {operation} never returns") from error

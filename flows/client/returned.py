"""What an operation returned, as the records that its flow returns."""

from typing import cast

from pydantic import TypeAdapter, ValidationError

from catalog.records import Record
from flows.client.errors import AnswerNotUnderstood
from flows.client.results import RESULTS

Result = Record | tuple[Record, ...] | None
"""What an operation returned; None where it was too much to be kept for whoever asks."""


def returned(operation: str, said: object, address: str) -> Result:
    """Return a result. operation: name of the flow; said: the JSON that the service kept of it. Raises AnswerNotUnderstood."""
    if said is None:
        return None
    if operation not in RESULTS:
        raise AnswerNotUnderstood(address, f"what an operation returned that is not known here, {operation!r}")
    kinds: TypeAdapter[Result] = TypeAdapter(cast("type[Result]", RESULTS[operation]))
    try:
        return kinds.validate_python(said, extra="ignore")
    except ValidationError as error:
        raise AnswerNotUnderstood(address, f"what {operation} never returns") from error

"""Read the present values of a form's subject when the form is opened, not when its line was drawn."""

from collections.abc import Callable, Mapping

from catalog.errors import NotFound
from catalog.records import Record
from console.visibility import Visibility
from flows.registry import OPERATIONS, Present

READ: Mapping[str, Callable[[Visibility, Mapping[str, object]], Record]] = {
    "image": lambda visibility, given: visibility.image(str(given.get("image_id", ""))),
    "image storage": lambda visibility, given: visibility.catalog.image_storage(str(given.get("name", ""))),
    "primary storage": lambda visibility, given: visibility.catalog.primary_storage(str(given.get("name", ""))),
    "family": lambda visibility, given: visibility.catalog.family(str(given.get("name", ""))),
    "account": lambda visibility, given: visibility.catalog.account(str(given.get("name", ""))),
}
"""`Present.of` → the record."""


def present_values(visibility: Visibility, flow: str, given: Mapping[str, object]) -> Mapping[str, object]:
    """Return the present values of a flow's subject; nothing if the visitor can't see it, which the run will report."""
    row = OPERATIONS[flow]
    if row.present is None or (row.present.of == "account" and not given.get("name")):  # any name can be an account
        return {}
    try:
        record = READ[row.present.of](visibility, given)
    except NotFound:
        return {}
    return _values(row.present, row.request.model_fields, record)


def _values(present: Present, fields: Mapping[str, object], record: Record) -> Mapping[str, object]:
    of_record = {field: present.named.get(field, field) for field in fields if field not in present.fixed}
    return {field: getattr(record, own) for field, own in of_record.items() if own in type(record).model_fields}

"""Forms from request models: the same titles, order, help and choices as in the Prefect UI, with no second definition."""

from collections.abc import Mapping
from typing import Any, Literal

from catalog.records import Record
from flows.requests import Request

Kind = Literal["text", "number", "checkbox", "choice", "choices", "list", "date"]
FIXED = ("image_id", "image_ids", "volume_id", "leftover_ids")
"""Fields that say which thing is meant: shown, not edited, where the row says it."""
IMAGE_STORAGE = ("image_storage", "image_storages", "source", "target")
PRIMARY_STORAGE = ("primary_storage",)
LAST = 80
"""Position from which on fields are for few: account, plan."""
NOT_KNOWN: Mapping[str, tuple[str, ...]] = {}


class Field(Record):
    """An input. options: of a choice; value: what stands there at first; chosen: of several choices."""

    name: str
    title: str
    description: str
    kind: Kind
    options: tuple[str, ...] = ()
    value: str = ""
    chosen: tuple[str, ...] = ()
    required: bool = False
    fixed: bool = False


def fields_of(
    model: type[Request], given: Mapping[str, object], names: Mapping[str, tuple[str, ...]] = NOT_KNOWN
) -> tuple[Field, ...]:
    """Return a request's inputs in their order.

    given: values to begin with, by field name. names: fields that name something registered, with what there is.
    """
    schema = model.model_json_schema()
    required = schema.get("required", ())
    properties = sorted(schema["properties"].items(), key=lambda item: item[1].get("position", LAST))
    return tuple(
        _field(name, _named(_resolved(schema, facts), names.get(name, ())), given, required=name in required)
        for name, facts in properties
        if name != "plan_only"
    )


def storage_names(image: tuple[str, ...], primary: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return, for each field that names a storage, the names of those that are registered."""
    return {**dict.fromkeys(IMAGE_STORAGE, image), **dict.fromkeys(PRIMARY_STORAGE, primary)}


def _named(facts: Mapping[str, Any], known: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a field's facts with the known names as its choices."""
    if not known:
        return facts
    if facts.get("type") == "array":
        return {**facts, "items": {"enum": known}}
    return {**facts, "enum": known}


def _field(name: str, facts: Mapping[str, Any], given: Mapping[str, object], *, required: bool) -> Field:
    value = given.get(name, facts.get("default", ""))
    several = tuple(map(str, value)) if isinstance(value, list | tuple) else ()
    options = dict.fromkeys((*map(str, _choices(facts)), *(several if _kind(facts) == "choices" else ())))
    return Field(
        name=name,
        title=facts.get("title", name),
        description=facts.get("description", ""),
        kind=_kind(facts),
        options=tuple(options),
        value=" ".join(several) if isinstance(value, list | tuple) else _text(value),
        chosen=several,
        required=required,
        fixed=name in FIXED and name in given,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _kind(facts: Mapping[str, Any]) -> Kind:
    if _choices(facts):
        return "choices" if facts.get("type") == "array" else "choice"
    if facts.get("format") == "date-time":
        return "date"
    kinds: dict[str, Kind] = {"boolean": "checkbox", "integer": "number", "number": "number", "array": "list"}
    return kinds.get(facts.get("type", ""), "text")


def _choices(facts: Mapping[str, Any]) -> tuple[object, ...]:
    if facts.get("type") == "boolean" and "default" not in facts:
        return ("true", "false")  # and neither: left as it is
    if facts.get("type") == "array":
        return tuple(facts.get("items", {}).get("enum", ()))
    return tuple(facts.get("enum", ())) or ((facts["const"],) if "const" in facts else ())


def _resolved(schema: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a field's facts with what it refers to put in its place."""
    reference = facts.get("$ref")
    return {**schema["$defs"][reference.rpartition("/")[2]], **facts} if reference else facts

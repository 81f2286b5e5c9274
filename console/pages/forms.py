"""Build forms from request models: the same titles, order, help and choices as in the Prefect UI."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from catalog.records import Record, SignedIn
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.storages.sources import UPLOAD
from flows.requests.form import ZONE

Kind = Literal["text", "number", "checkbox", "choice", "choices", "list", "date", "password"]
FIXED = ("image_id", "image_ids", "volume_id", "leftover_ids")
"""Fields that name the form's subject: shown, but not edited, if the line gives them."""
NAMED = ("image_id", "image_ids", "volume_id")
"""Those whose names are in the dialog's title: nobody reads the ids."""
IMAGE_STORAGE = ("image_storage", "image_storages", "source", "target")
PRIMARY_STORAGE = ("primary_storage",)
RARE = 12
"""Position from which on the fields of an add are rarely used."""
LAST = 80
"""Position from which on fields are rarely used: account, plan."""
NAME = "name"
"""Names the storage in forms that don't change the name."""
CLEARING = ("clear", "defaults")
"""Fields that name other fields to be cleared, or to be set to the system's defaults."""
OF_ADMINISTRATORS = ("account", "credentials")
NOT_KNOWN: Mapping[str, tuple[str, ...]] = {}
NOTHING: Mapping[str, object] = {}


class Field(Record):
    """An input. options: of a choice; value: its first value; chosen: of several choices.

    present: the value is the present one, so it is sent only if changed; clears: the field that names it once emptied;
    only_with: `field=value` without which it is not sent; hidden: another input gives it; rare: shown further down.
    """

    name: str
    title: str
    description: str
    kind: Kind
    options: tuple[str, ...] = ()
    value: str = ""
    chosen: tuple[str, ...] = ()
    required: bool = False
    fixed: bool = False
    present: bool = False
    clears: str = ""
    only_with: str = ""
    hidden: bool = False
    rare: bool = False


def fields_of(
    model: type[BaseModel],
    given: Mapping[str, object],
    names: Mapping[str, tuple[str, ...]] = NOT_KNOWN,
    present: Mapping[str, object] = NOTHING,
) -> tuple[Field, ...]:
    """Return a request's inputs in their order.

    given: first values, by field name. names: fields that name something registered, with the registered names.
    present: present values of the fields, by field name.
    """
    schema = model.model_json_schema()
    required = schema.get("required", ())
    properties = sorted(schema["properties"].items(), key=lambda item: item[1].get("position", LAST))
    fields = tuple(
        _field(
            name,
            _named(_resolved(schema, facts), names.get(facts.get("names", name), ())),
            {**given, **present},
            required=name in required,
        )
        for name, facts in properties
        if name != "plan_only"
    )
    return tuple(_with_present(field, fields, present) for field in fields)


def _with_present(field: Field, fields: Sequence[Field], present: Mapping[str, object]) -> Field:
    """Return the field for a form that shows present values: emptying its input clears it."""
    clearing, clearable = next(((f.name, f.options) for f in fields if f.name in CLEARING), ("", ()))
    update = {
        "present": field.name in present,
        "clears": clearing if field.name in present and field.name in clearable else "",
        "hidden": (field.name == clearing and set(clearable) <= set(present)) or (field.fixed and field.name in NAMED),
        "fixed": field.fixed or (field.name == NAME and bool(present) and NAME not in present),
    }
    return field.model_copy(update=update)


def fills_in(who: SignedIn, field: str) -> bool:
    """Tell whether a form shows a field: the visitor's account is known, and only administrators name secrets."""
    return who.identity.role == ADMIN or field not in OF_ADMINISTRATORS


def storage_names(image: tuple[str, ...], primary: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return, for each field that names a storage, the registered names."""
    return {**dict.fromkeys(IMAGE_STORAGE, image), **dict.fromkeys(PRIMARY_STORAGE, primary)}


def _named(facts: Mapping[str, Any], known: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a field's schema with the known names as its choices."""
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
        description=facts.get("description", "").replace(f"; {ZONE}", ""),
        kind=_kind(facts),
        options=tuple(options),
        value=" ".join(several) if isinstance(value, list | tuple) else _text(value, _kind(facts)),
        chosen=several,
        required=required,
        only_with=facts.get("only_with", ""),
        rare=facts.get("position", LAST) >= RARE,
        fixed=name in given and (name in FIXED or str(value).startswith(f"{UPLOAD}://")),
    )


def _text(value: object, kind: Kind) -> str:
    """Return a value as its input's text: a moment in the browser's input format, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    if isinstance(value, bool) and kind == "choice":
        return str(value).lower()
    return "" if value is None else str(value)


def _kind(facts: Mapping[str, Any]) -> Kind:
    if _choices(facts):
        return "choices" if facts.get("type") == "array" else "choice"
    if facts.get("format") in ("date-time", "password"):
        return "date" if facts["format"] == "date-time" else "password"
    kinds: dict[str, Kind] = {"boolean": "checkbox", "integer": "number", "number": "number", "array": "list"}
    return kinds.get(facts.get("type", ""), "text")


def _choices(facts: Mapping[str, Any]) -> tuple[object, ...]:
    if facts.get("type") == "boolean" and "default" not in facts:
        return ("true", "false")  # neither: left as it is
    if facts.get("type") == "array":
        return tuple(facts.get("items", {}).get("enum", ()))
    return tuple(facts.get("enum", ())) or ((facts["const"],) if "const" in facts else ())


def _resolved(schema: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a field's schema with its reference resolved."""
    reference = facts.get("$ref")
    return {**schema["$defs"][reference.rpartition("/")[2]], **facts} if reference else facts

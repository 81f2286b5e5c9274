"""The catalogue as code: one document of what is set, each part as its own request has it."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_serializer, field_validator

from catalog.errors import InvalidRequest
from catalog.records import Record
from flows.registry import operation
from flows.requests.accounts import SetAccount
from flows.requests.form import ChangingRequest, at
from flows.requests.promotion import SetFamily, SetWatch
from flows.requests.storages import RegisterImageStorage, RegisterPrimaryStorage
from flows.requests.webhooks import SetWebhook

NOT_OF_THE_FILE = ("account", "plan_only", "clear", "defaults")
"""Fields of requests that say how they are asked, not what is set."""
ARMOUR = "-----BEGIN"
WHAT = "Storages, accounts, families, watches and webhooks, each with the fields of its own request."


def _without_asking(schema: dict[str, Any]) -> None:
    """Leave out of the schema for editors what an entry can't say."""
    for name in NOT_OF_THE_FILE:
        schema.get("properties", {}).pop(name, None)


class Catalogue(BaseModel):
    """What is set: what a file does not name stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    image_storages: tuple[RegisterImageStorage, ...] = ()
    primary_storages: tuple[RegisterPrimaryStorage, ...] = ()
    accounts: tuple[SetAccount, ...] = ()
    families: tuple[SetFamily, ...] = ()
    watches: tuple[SetWatch, ...] = ()
    webhooks: tuple[SetWebhook, ...] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_nothing(cls, given: Any, info: ValidationInfo) -> Any:
        """Take a section without entries, which YAML reads as null, for an empty one."""
        return () if given is None and info.field_name != "version" else given

    @field_validator("*", mode="after")
    @classmethod
    def _plain(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse an entry that says how it is asked, and a name that is given twice."""
        seen = set[str]()
        for entry in given if isinstance(given, tuple) else ():
            asked = entry.model_fields_set.intersection(NOT_OF_THE_FILE)
            if asked:
                raise InvalidRequest(str(info.field_name), f"{min(asked)} of {entry.name}", "leave it out in a file")
            if entry.name in seen:
                raise InvalidRequest(str(info.field_name), entry.name, "each name once")
            seen.add(entry.name)
        return given

    @field_serializer("*")
    def _as_written(self, given: object) -> object:
        """Send entries on as they were written: a default written out would count as said where it arrives."""
        if not isinstance(given, tuple):
            return given
        return [entry.model_dump(mode="json", exclude=set(NOT_OF_THE_FILE), exclude_unset=True) for entry in given]

    @field_validator("watches", mode="after")
    @classmethod
    def _keys_as_text(cls, given: tuple[SetWatch, ...]) -> tuple[SetWatch, ...]:
        for watch in given:
            for key in watch.public_keys:
                if not key.strip().startswith(ARMOUR):
                    raise InvalidRequest(
                        "public_keys", key, "armoured text: a path is of one host, and may hold another key tomorrow"
                    )
        return given


OPERATIONS_OF: Mapping[str, str] = {
    "image_storages": "register_image_storage",
    "primary_storages": "register_primary_storage",
    "accounts": "set_account",
    "families": "set_family",
    "watches": "set_watch",
    "webhooks": "set_webhook",
}
"""Section → the operation that sets an entry of it, in the order in which they are done: what is named comes before who names it."""
ALWAYS = ("name", "kind", "url")


def wanted_of(entry: ChangingRequest) -> dict[str, object]:
    """Return the fields that an entry sets. Of storages and accounts what is not given stays; all else is set whole."""
    fields = entry.model_dump(mode="json", exclude=set(NOT_OF_THE_FILE))
    if isinstance(entry, SetAccount):
        return {name: value for name, value in fields.items() if value is not None}
    return fields


def differing(entry: ChangingRequest, record: Record | None) -> Mapping[str, tuple[object, object]]:
    """Return what an entry would change, by field: what is, and what is wanted."""
    have = record.model_dump(mode="json") if record else {}
    return {
        name: (have.get(name), value)
        for name, value in wanted_of(entry).items()
        if _plainly(have.get(name)) != _plainly(value)
    }


def _plainly(value: object) -> object:
    """Return a value as it is compared: the end of a line that a key was read with is none of it."""
    if isinstance(value, list):
        return [_plainly(one) for one in value]
    return value.strip() if isinstance(value, str) else value


def entry_of(section: str, record: Record) -> dict[str, object]:
    """Return a record as an entry of a section: what differs from the defaults of its request."""
    fields = REQUESTS[section].model_fields
    have = record.model_dump(mode="json", include={name for name in fields if name not in NOT_OF_THE_FILE})
    return {
        name: have[name]
        for name, field in fields.items()
        if name in have
        and (name in ALWAYS or _plain_default(field.get_default(call_default_factory=True)) != (have[name] or False))
    }


def _plain_default(value: object) -> object:
    """Return a default as JSON has it. Of a truth value that need not be given, no is the default."""
    return list(value) if isinstance(value, tuple) else value or False


REQUESTS: Mapping[str, type[ChangingRequest]] = {
    "image_storages": RegisterImageStorage,
    "primary_storages": RegisterPrimaryStorage,
    "accounts": SetAccount,
    "families": SetFamily,
    "watches": SetWatch,
    "webhooks": SetWebhook,
}


def document_of(records: Mapping[str, Iterable[Record]]) -> dict[str, object]:
    """Return what is set as a document, its sections in order, those that are empty left out."""
    sections = {name: [entry_of(name, record) for record in records[name]] for name in OPERATIONS_OF}
    return {"version": 1, **{name: entries for name, entries in sections.items() if entries}}


def schema() -> dict[str, object]:
    """Return the JSON schema of a document, for editors."""
    made = Catalogue.model_json_schema()
    for definition in made["$defs"].values():
        _without_asking(definition)
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A catalogue of Imagewright"}
    return {**made, **title}


@operation(
    "flows.promotion.catalogue",
    rights="admin",
    run="apply a catalogue",
    lock="none: one transaction an entry",
    left="what was set so far: applied again it goes on",
    bytes_at="none",
)
class ApplyCatalogue(ChangingRequest):
    """Set storages, accounts, families, watches and webhooks as one document says; what it does not name stays."""

    catalogue: Catalogue = Field(**at(0, "Catalogue", WHAT))

"""What all requests share, and how a field is placed in the Prefect form."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Account = "Account that acts; it owns what it adds and sees what is shared with it."
PlanOnly = "Show what would happen (bytes to move, space, quota) and change nothing."


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A moment that a person may write without a zone: it is UTC then, never the zone of whichever worker reads it."""


def at(position: int, title: str, description: str, **extra: Any) -> dict[str, Any]:
    """Return the keyword arguments that place a field in the Prefect form."""
    return {"title": title, "description": description, "json_schema_extra": {"position": position}, **extra}


def plain_options(schema: dict[str, Any]) -> None:
    """Show an optional field as its own kind of input: of a union, Prefect's form asks which member is meant."""
    for field in schema.get("properties", {}).values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1 and len(field["anyOf"]) == 2:
            del field["anyOf"], field["default"]
            field.update(kinds[0])


class Request(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=plain_options)

    account: str = Field("admin", **at(90, "Account", Account))

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        """Take an input that a form left empty as not given, where the field may be absent."""
        if not isinstance(given, dict):
            return given
        absent = {name for name, field in cls.model_fields.items() if field.default is None}
        return {name: value for name, value in given.items() if not (value == "" and name in absent)}


class ChangingRequest(Request):
    """A request that changes something, and can be asked what it would change."""

    plan_only: bool = Field(False, **at(91, "Plan only", PlanOnly))


class ImagesRequest(ChangingRequest):
    """A request about one or several images."""

    image_ids: tuple[str, ...] = Field(
        **at(0, "Images", "Ids of the images; one bad id never stops the others.", min_length=1)
    )

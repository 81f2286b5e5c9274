"""What all requests share, and how a field is placed in the Prefect form."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from catalog.rules.images.naming import canonical_id
from catalog.units import LONGEST_S

MOST_BYTES = 520_000
"""Of a request as JSON: Prefect takes 512 KiB of parameters."""
ZONE = "UTC unless a zone is given"
"""What is said of moments where people write them as text; the console's inputs are in the viewer's zone."""
Account = "Account that acts; it owns what it adds and sees what is shared with it."
Patience = (
    "Seconds to wait for a storage or source that is away, in all; it is asked again after seconds, then minutes, with days "
    "of patience hours. Empty: a day; for a call on a terminal 0."
)
OnlyHost = (
    "Only what lies in directories of this host. Empty: what every host reaches; the other hosts are asked for theirs by "
    "runs of their own."
)
PlanOnly = "Show what would happen (bytes to move, space, quota) and change nothing."


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A moment that a person may write without a zone: it is UTC then, never the zone of whichever worker reads it."""


ImageName = Annotated[str, StringConstraints(strip_whitespace=False)]
"""The name of an image as it was written: the rule for names refuses spaces at its ends."""
Id = Annotated[str, AfterValidator(canonical_id)]
"""The id of an image, volume or leftover, in the letters that a person pasted."""


def at(
    position: int, title: str, description: str, *, only_with: str = "", names: str = "", **extra: Any
) -> dict[str, Any]:
    """Return the keyword arguments that place a field in the Prefect form, and what the console knows of it besides.

    only_with: `field=value` of another one without which it is not asked for; names: the field whose names are its choices.
    """
    known = {"only_with": only_with, "names": names}
    placed = {"position": position, **{key: value for key, value in known.items() if value}}
    return {"title": title, "description": description, "json_schema_extra": placed, **extra}


def plain_options(schema: dict[str, Any]) -> None:
    """Show an optional field as its own kind of input: of a union, Prefect's form asks which member is meant."""
    for field in schema.get("properties", {}).values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1 and len(field["anyOf"]) == 2:
            del field["anyOf"], field["default"]
            field.update(kinds[0])


class Request(BaseModel):
    """What all requests share."""

    # pasted text has spaces at its ends: taken letter by letter, an image would be shared with nobody
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True, json_schema_extra=plain_options
    )

    account: str = Field("admin", **at(90, "Account", Account))

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        """Take an input that a form left empty as not given, where the field may be absent."""
        if not isinstance(given, dict):
            return given
        absent = {name for name, field in cls.model_fields.items() if field.default is None}
        return {name: value for name, value in given.items() if not (value == "" and name in absent)}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse what the Prefect server would not take as a run's parameters: it would say so in words of its own."""
        size = len(json.dumps(self.model_dump(mode="json")))
        if size > MOST_BYTES:
            raise PydanticCustomError(
                "too_large",
                "at most {most} bytes of JSON, and this has {size}; ask in several requests",
                {"most": MOST_BYTES, "size": size},
            )
        return self


class ChangingRequest(Request):
    """A request that changes something, and can be asked what it would change."""

    plan_only: bool = Field(False, **at(91, "Plan only", PlanOnly))


class PatientRequest(ChangingRequest):
    """A request whose run waits for a storage or source that is away."""

    patience_s: float | None = Field(None, **at(89, "Patience", Patience, ge=0, le=LONGEST_S))


class UpkeepRequest(ChangingRequest):
    """A request about all that is there, of which each host does what only it reaches."""

    host: str | None = Field(None, **at(88, "Host", OnlyHost))


class ImagesRequest(ChangingRequest):
    """A request about one or several images."""

    image_ids: tuple[Id, ...] = Field(
        **at(0, "Images", "Ids of the images; one bad id never stops the others.", min_length=1)
    )

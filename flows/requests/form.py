"""What all requests share, and how a field is placed in the Prefect form."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Account = "Account that acts; it owns what it adds and sees what is shared with it."
PlanOnly = "Show what would happen (bytes to move, space, quota) and change nothing."


def at(position: int, title: str, description: str, **extra: Any) -> dict[str, Any]:
    """Return the keyword arguments that place a field in the Prefect form."""
    return {"title": title, "description": description, "json_schema_extra": {"position": position}, **extra}


class Request(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field("admin", **at(90, "Account", Account))


class ChangingRequest(Request):
    """A request that changes something, and can be asked what it would change."""

    plan_only: bool = Field(False, **at(91, "Plan only", PlanOnly))


class ImagesRequest(ChangingRequest):
    """A request about one or several images."""

    image_ids: tuple[str, ...] = Field(
        **at(0, "Images", "Ids of the images; one bad id never stops the others.", min_length=1)
    )

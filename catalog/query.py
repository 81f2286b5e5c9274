"""What a listing asks of a store: which records, in which order, from where on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from catalog.records import Account


@dataclass(frozen=True)
class Query:
    """Conditions that all must hold. Defaults hold for everything."""

    among: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)  # field → values it may have
    name_pattern: str = "*"  # `*` any characters, `?` one; case matters
    changed_since: datetime | None = None  # updated_at at or after
    expired_at: datetime | None = None  # expires_at at or before
    stored_on: str | None = None  # images with a replica on this image storage
    visible_to: Account | None = None
    up_to: int | None = None  # events: with this sequence or before


EVERYTHING = Query()

"""Advisories as an OSV export has them (https://ossf.github.io/osv-schema/), and which versions of a package each is about.

A range of type ECOSYSTEM is a line of events in the order of its versions: from `introduced` on a version is affected ("0": from the
first one), from `fixed` on it is not, after `last_affected` it is not; `limit` ends the line. Ranges of other types are about
sources, not packages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from pydantic import BaseModel, ConfigDict, Field

Order = Callable[[str, str], int]
"""Compares two versions: -1, 0 or 1. Raises ValueError for what is none."""
FIRST, NO_LIMIT = "0", "*"


class _Said(BaseModel):
    """Part of an advisory. What is not read here may be anything."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(_Said):
    """A change along a range; one of these is given."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    @property
    def version(self) -> str:
        """Return where it is."""
        return self.introduced or self.fixed or self.last_affected or FIRST


class Range(_Said):
    """A line of events."""

    type: str
    events: tuple[Event, ...] = Field((), max_length=10_000)


class Score(_Said):
    """How severe it is, by one way of measuring."""

    type: str
    score: str


class Name(_Said):
    """A package. ecosystem: `Debian:12`; name: mostly of the source package."""

    ecosystem: str
    name: str


class Affected(_Said):
    """Which versions of a package are affected."""

    package: Name | None = None
    ranges: tuple[Range, ...] | None = None
    versions: tuple[str, ...] | None = None
    severity: tuple[Score, ...] | None = None


class Advisory(_Said):
    """A record of an export. upstream: ids of what it passes on, such as the CVE of a distribution's own advisory."""

    id: str = Field(min_length=1, max_length=256)
    aliases: tuple[str, ...] | None = None
    upstream: tuple[str, ...] | None = None
    summary: str | None = None
    withdrawn: str | None = None
    severity: tuple[Score, ...] | None = None
    affected: tuple[Affected, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A version is affected. fixed: the first version after it that is not; None where none is known."""

    fixed: str | None


def hit(affected: Affected, version: str, order: Order) -> Hit | None:
    """Return whether a version of the package is affected, None where it is not. Raises ValueError for what is no version."""
    ranges = [one for one in affected.ranges or () if one.type == "ECOSYSTEM"]
    inside = [one for one in ranges if _is_inside(one, version, order)]
    if not inside and version not in (affected.versions or ()):
        return None
    return Hit(_first_fixed(inside or ranges, version, order))


def _is_inside(line: Range, version: str, order: Order) -> bool:
    limits = [event.limit for event in line.events if event.limit is not None]
    if limits and not any(NO_LIMIT in limit or order(version, limit) < 0 for limit in limits):
        return False
    is_affected = False
    for event in _in_order(line.events, order):
        if event.introduced is not None:
            is_affected = is_affected or event.introduced == FIRST or order(version, event.introduced) >= 0
        elif event.fixed is not None:
            is_affected = is_affected and order(version, event.fixed) < 0
        elif event.last_affected is not None:
            is_affected = is_affected and order(version, event.last_affected) <= 0
    return is_affected


def _in_order(events: Sequence[Event], order: Order) -> Sequence[Event]:
    """Return events by their versions; what is introduced at "0" is before all others."""
    begun = [event for event in events if event.introduced == FIRST]
    others = [event for event in events if event.introduced != FIRST and event.limit is None]

    def compare(one: Event, other: Event) -> int:
        return order(one.version, other.version)

    return [*begun, *sorted(others, key=cmp_to_key(compare))]


def _first_fixed(ranges: Sequence[Range], version: str, order: Order) -> str | None:
    fixed = [event.fixed for line in ranges for event in line.events if event.fixed is not None]
    after = [one for one in fixed if order(one, version) > 0]
    return min(after, key=cmp_to_key(order), default=None)

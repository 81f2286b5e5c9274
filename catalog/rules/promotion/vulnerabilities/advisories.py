"""Advisories of an OSV export (https://ossf.github.io/osv-schema/), and the versions of a package that each affects.

A range of type ECOSYSTEM is a sequence of events in the order of versions: a version is affected from `introduced`
("0": the first version) until before `fixed`, or up to and including `last_affected`; `limit` ends the range. Ranges of
other types are about sources, not packages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from pydantic import BaseModel, ConfigDict, Field

Order = Callable[[str, str], int]
"""Compares two versions: -1, 0 or 1. Raises ValueError for an invalid version."""
FIRST, NO_LIMIT = "0", "*"


class _Said(BaseModel):
    """Part of an advisory. Fields that are not read here may hold anything."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(_Said):
    """An event of a range; exactly one of its fields is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    @property
    def version(self) -> str:
        """Return the event's version."""
        return self.introduced or self.fixed or self.last_affected or FIRST


class Range(_Said):
    """A range: a sequence of events."""

    type: str
    events: tuple[Event, ...] = Field((), max_length=10_000)


class Score(_Said):
    """A severity by one scoring system."""

    type: str
    score: str


class Name(_Said):
    """A package. ecosystem: e.g. `Debian:12`; name: mostly of the source package."""

    ecosystem: str
    name: str


class Affected(_Said):
    """Which versions of a package are affected."""

    package: Name | None = None
    ranges: tuple[Range, ...] | None = None
    versions: tuple[str, ...] | None = None
    severity: tuple[Score, ...] | None = None


class Advisory(_Said):
    """A record of an export. upstream: ids of its originals, such as the CVE of a distribution's own advisory."""

    id: str = Field(min_length=1, max_length=256)
    aliases: tuple[str, ...] | None = None
    upstream: tuple[str, ...] | None = None
    summary: str | None = None
    withdrawn: str | None = None
    severity: tuple[Score, ...] | None = None
    affected: tuple[Affected, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A match: a version is affected. fixed: the first later version that is not, None if unknown."""

    fixed: str | None


def hit(affected: Affected, version: str, order: Order) -> Hit | None:
    """Return a hit if a version of the package is affected, otherwise None.

    Raises ValueError for an invalid version.
    """
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
    """Return events in the order of versions; `introduced` "0" comes first."""
    begun = [event for event in events if event.introduced == FIRST]
    others = [event for event in events if event.introduced != FIRST and event.limit is None]

    def compare(one: Event, other: Event) -> int:
        return order(one.version, other.version)

    return [*begun, *sorted(others, key=cmp_to_key(compare))]


def _first_fixed(ranges: Sequence[Range], version: str, order: Order) -> str | None:
    fixed = [event.fixed for line in ranges for event in line.events if event.fixed is not None]
    after = [one for one in fixed if order(one, version) > 0]
    return min(after, key=cmp_to_key(order), default=None)

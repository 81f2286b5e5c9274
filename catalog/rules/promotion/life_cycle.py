"""Which builds of a family stay and which are deleted. The first row that applies decides.

| build | stays or goes |
|---|---|
| is still arriving | stays |
| is the latest of its family, or the one a rollback would return to | stays |
| is protected against deletion | stays |
| is used, with `keep_used`: a volume, an export or another image was made of it | stays |
| may yet be promoted: it waits for its gates | stays |
| is among the newest `keep_last` of its architecture | stays |
| is younger than `keep_days` | stays |
| any other, if `keep_last` or `keep_days` is set | goes |

If neither is set, all stay. With `deprecate_after_days` a build that stays is deprecated once it is that old, unless it
is the latest or the one a rollback would return to. The newest is the one with the newest publisher's version,
otherwise the youngest. A build that failed, was disabled or recalled does not count among `keep_last` and is deleted by
`keep_days` only, so that its reason can be read until then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from catalog.records import Family, Image, ImageStatus
from catalog.rules.promotion.history import channel_of
from catalog.rules.promotion.versions import order

ARRIVING = (ImageStatus.CREATING, ImageStatus.DOWNLOADING)
Fate = Literal["kept", "deprecated", "goes"]


@dataclass(frozen=True, slots=True)
class Known:
    """Facts about a family's builds besides their records.

    latest, before: ids of the latest images and of those that a rollback would return to; users: the users of a build,
    by its id; waiting: ids of builds that may yet be promoted.
    """

    now: datetime
    latest: Collection[str] = ()
    before: Collection[str] = ()
    users: Mapping[str, Sequence[str]] = field(default_factory=dict)
    waiting: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one build, with the reason."""

    image: Image
    fate: Fate
    reason: str


def decided(family: Family, images: Sequence[Image], known: Known) -> tuple[Decision, ...]:
    """Return the decision on each build, the newest of each architecture first."""
    return tuple(d for builds in _by_channel(images) for d in _of_channel(family, builds, known))


def _by_channel(images: Sequence[Image]) -> Sequence[Sequence[Image]]:
    channels: dict[str, list[Image]] = {}
    for image in sorted(images, key=_age, reverse=True):
        channels.setdefault(channel_of(image), []).append(image)
    return [channels[name] for name in sorted(channels)]


def _age(image: Image) -> tuple[object, ...]:
    """Return the sort key of builds: those without a version come before all others."""
    if image.build_version is None:
        return (0, image.created_at, image.id)
    return (1, order(image.build_version), image.created_at, image.id)


def _of_channel(family: Family, builds: Sequence[Image], known: Known) -> Sequence[Decision]:
    made, place = list[Decision](), 0
    for image in builds:
        place += not _is_bad(image)
        reason = _stays(family, image, known, place)
        made.append(
            _kept(family, image, known, reason) if reason else Decision(image, "goes", _limits(family, known, image))
        )
    return made


def _stays(family: Family, image: Image, known: Known, place: int) -> str:
    """Return why a build stays, "" if it goes. place: its rank within its architecture, from 1."""
    users = known.users.get(image.id, ())
    rows = (
        (image.status in ARRIVING, "it is arriving"),
        (image.id in known.latest, "it is the latest"),
        (image.id in known.before, "the latest would go back to it"),
        (image.protected, "it is protected"),
        (family.keep_used and bool(users), f"it is used: {', '.join(users[:3])}"),
        (image.id in known.waiting, "it may yet be the latest"),
        (family.keep_last is None and family.keep_days is None, "its family keeps all"),
        (_is_bad(image) and family.keep_days is None, "it is bad, and its family does not say how many days are kept"),
        (_among_last(family, image, place), f"it is among the last {family.keep_last}"),
        (
            _is_young(family, image, known.now),
            f"it is younger than {family.keep_days:g} days" if family.keep_days else "",
        ),
    )
    return next((reason for holds, reason in rows if holds), "")


def _is_bad(image: Image) -> bool:
    return image.status is ImageStatus.ERROR or image.state == "Disabled" or image.recalled is not None


def _among_last(family: Family, image: Image, place: int) -> bool:
    return family.keep_last is not None and not _is_bad(image) and place <= family.keep_last


def _is_young(family: Family, image: Image, now: datetime) -> bool:
    return bool(family.keep_days) and now - image.created_at < timedelta(days=family.keep_days or 0)


def _kept(family: Family, image: Image, known: Known, reason: str) -> Decision:
    days = family.deprecate_after_days
    if (
        days is None
        or image.deprecated
        or image.id in {*known.latest, *known.before}
        or image.status is not ImageStatus.READY
    ):
        return Decision(image, "kept", reason)
    if known.now - image.created_at < timedelta(days=days):
        return Decision(image, "kept", reason)
    return Decision(image, "deprecated", f"it is older than {days:g} days; {reason}")


def _limits(family: Family, known: Known, image: Image) -> str:
    limits = [f"the last {family.keep_last}"] if family.keep_last is not None else []
    limits += [f"{family.keep_days:g} days"] if family.keep_days is not None else []
    days = (known.now - image.created_at).total_seconds() / 86400
    return f"beyond {' and '.join(limits)}: {days:.0f} days old, and nobody uses it"

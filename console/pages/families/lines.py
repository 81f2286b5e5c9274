"""The lines of the tab *Families*: one per family and architecture, with the builds that an identity sees."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from catalog.errors import ImageNotFound
from catalog.records import ANY_ARCHITECTURE, Family, Image, Promotion
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.promotion.history import channel_of
from console.pages.actions import offered
from console.pages.families.builds import waiting_builds
from console.pages.rows import Row
from console.pages.values import Linked, when
from console.visibility import Visibility

LOOKED_AT = 200
"""Newest images of a family that are checked for waiting builds."""


def family_rows(visibility: Visibility) -> Iterator[Row]:
    """Yield the lines of visible families, by name and architecture; a family without builds has a line, too."""
    for family in visibility.catalog.families():
        if visibility.sees_family(family.name):
            yield from _of_family(visibility, family)


def _of_family(visibility: Visibility, family: Family) -> Iterator[Row]:
    builds = _by_architecture(visibility, family)
    known = visibility.catalog.channels(family.name) if visibility.account == ADMIN else ()
    for architecture in sorted({channel.cpu_architecture for channel in known} | set(builds)) or [""]:
        yield _row(visibility, family, architecture, builds.get(architecture, []))


def _by_architecture(visibility: Visibility, family: Family) -> Mapping[str, list[Image]]:
    """Return the visible images of a family by architecture, newest first."""
    found: defaultdict[str, list[Image]] = defaultdict(list)
    for image in visibility.catalog.images(family=family.name, account=visibility.account, limit=LOOKED_AT):
        if visibility.sees(image):
            found[channel_of(image)].append(image)
    return found


def _row(visibility: Visibility, family: Family, architecture: str, images: list[Image]) -> Row:
    promotions = tuple(visibility.catalog.promotions(family.name, architecture)) if architecture else ()
    latest = _latest(visibility, family.name, architecture)
    builds = waiting_builds(visibility, family, images, promotions, latest.id if latest else "")
    moved = _since(promotions, latest)
    cells = (
        architecture,
        Linked(latest.name, f"/images/{latest.id}") if latest else "",
        (latest.build_version or "") if latest else "",
        when(moved.created_at) if moved else "",
        _address(family.name, architecture) if latest else "",
    )
    given = {"family": family.name, "name": family.name, **_for(architecture), **_of(latest)}
    return Row(
        f"{family.name}/{architecture}",
        family.name,
        cells,
        (*(offered("latest") if latest else ()), *offered("family")),
        given,
        owner=ADMIN,
        builds=builds,
    )


def _latest(visibility: Visibility, family: str, architecture: str) -> Image | None:
    """Return the visible latest of a family, the same as at its stable address; None if there is none."""
    asked = {"cpu_architecture": architecture} if architecture not in ("", ANY_ARCHITECTURE) else {}
    try:
        found = visibility.catalog.latest(family, account=visibility.account, **asked)
    except ImageNotFound:
        return None
    return found if visibility.sees(found) and channel_of(found) == architecture else None


def _since(promotions: tuple[Promotion, ...], latest: Image | None) -> Promotion | None:
    """Return the promotion that made an image the latest, None for one that was never promoted."""
    return next((p for p in reversed(promotions) if latest is not None and p.image_id == latest.id), None)


def _address(family: str, architecture: str) -> Linked:
    asked = f"?arch={architecture}" if architecture not in ("x86_64", ANY_ARCHITECTURE) else ""
    place = f"/f/{quote(family, safe='')}/latest{asked}"
    return Linked(place, place)


def _for(architecture: str) -> Mapping[str, object]:
    return {"cpu_architecture": architecture} if architecture not in ("", ANY_ARCHITECTURE) else {}


def _of(latest: Image | None) -> Mapping[str, object]:
    return {"image_id": latest.id} if latest else {}

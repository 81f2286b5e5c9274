"""Builds of a family that are not its latest: those that wait, those refused, and the evidence of each gate."""

from collections.abc import Collection, Sequence

from catalog.records import Evidence, Family, Image, ImageStatus, Promotion
from catalog.rules.promotion.gates import BY_TIME, failed
from catalog.rules.promotion.history import standing, why_not
from console.pages.rows import Build
from console.visibility import Visibility
from tasks.promotion.evidence import evidence_of

MOST = 5
"""Most builds shown per latest, newest first: each costs a query of its history."""
ON_THEIR_WAY = (ImageStatus.CREATING, ImageStatus.DOWNLOADING)


LEFT = "the family went back from it"


def waiting_builds(
    visibility: Visibility, family: Family, images: Sequence[Image], promotions: Sequence[Promotion], latest: str
) -> tuple[Build, ...]:
    """Return the builds newer than the latest.

    images: of one architecture, newest first; promotions: oldest first; latest: its id.
    """
    stands = {*standing(promotions), latest}
    left = {promotion.previous for promotion in promotions if promotion.kind == "rolled back"} - stands
    newer = _newer(images, stands)
    return tuple(_left(family, one) if one.id in left else _build(visibility, family, one) for one in newer)


def _newer(images: Sequence[Image], stands: Collection[str]) -> Sequence[Image]:
    """Return the images newer than every promoted one."""
    place = next((n for n, image in enumerate(images) if image.id in stands), len(images))
    return [image for image in images[:place] if image.status is not ImageStatus.DELETED][:MOST]


def _left(family: Family, image: Image) -> Build:
    return _told(family, image, "refused", LEFT)


def _build(visibility: Visibility, family: Family, image: Image) -> Build:
    if image.status in ON_THEIR_WAY:
        return _told(family, image, "waits", image.status.value)
    if reason := why_not(image):
        return _told(family, image, "refused", image.error or reason)
    evidence = evidence_of(visibility.catalog, family, image, by_person=False)
    lacking = failed(evidence)
    refused = any(one.gate not in BY_TIME for one in lacking)
    reason = "; ".join(one.sentence for one in lacking) or "it passed every gate and was not promoted yet"
    return _told(family, image, "refused" if refused else "waits", reason, evidence)


def _told(family: Family, image: Image, state: str, reason: str, evidence: tuple[Evidence, ...] = ()) -> Build:
    given = {"image_id": image.id, "family": family.name}
    return Build(image.id, image.name, image.build_version or "", state, reason, evidence, given)

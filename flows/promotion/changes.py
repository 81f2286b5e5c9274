"""Describe how a build differs from the latest of its family, for promotions in families that inspect contents."""

from catalog.errors import ImagewrightError
from catalog.rules.promotion.comparison import summary_of
from flows.promotion.contents import compare_images
from flows.requests import CompareImages
from tasks.promotion.promote import latest_to_compare


def changes_since_latest(image_id: str, family: str, account: str, *, by_person: bool = True) -> str:
    """Return a sentence about how a build's contents differ from the latest's.

    "" if the family inspects no contents, has no latest yet, or a gate fails. A failed comparison stops no promotion:
    the sentence says so.
    """
    latest = latest_to_compare(image_id, family, account, by_person=by_person)
    if latest is None:
        return ""
    known = latest.build_version or latest.id
    try:
        found = compare_images(CompareImages(a=latest.id, b=image_id, account=account))
    except ImagewrightError as error:
        return f"not compared with {known}: {error}"
    return f"since {known}: {summary_of(found)}"

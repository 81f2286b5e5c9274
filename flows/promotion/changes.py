"""What differs between a build and the latest of its family: said with each promotion that looks inside."""

from catalog.errors import ImagewrightError
from catalog.rules.promotion.comparison import summary_of
from flows.promotion.contents import compare_images
from flows.requests import CompareImages
from tasks.promotion.promote import latest_to_compare


def changes_since_latest(image_id: str, family: str, account: str, *, by_person: bool = True) -> str:
    """Return in a sentence how a build differs inside from the latest, "" where its family looks into none or has none yet, or a gate keeps it.

    That they can't be compared keeps nothing from being promoted: it is said.
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

"""Second questions before irreversible operations, which name what will be deleted."""

from collections.abc import Mapping

from catalog.errors import IllegalTransition, ImageNotFound
from catalog.records import ImageStatus
from catalog.rules.images.retention import retention_of
from catalog.rules.images.transitions import GONE, status_after
from catalog.settings import Settings
from console.visibility import Visibility
from flows.registry import OPERATIONS


def confirmation_of(visibility: Visibility, settings: Settings, flow: str, given: Mapping[str, object]) -> str | None:
    """Return when a flow asks a second question: "" for always, `field=value` for only then, None for never.

    given: first values of its form. A flow that ends images asks only if one of them would not go to the recycle bin.
    """
    row, ids = OPERATIONS[flow], given.get("image_ids")
    if row.irreversible:
        return "" if row.irreversible is True else row.irreversible
    if row.transition and isinstance(ids, list):
        return "" if any(_vanishes(visibility, settings, str(one), row.transition) for one in ids) else None
    return None


def _vanishes(visibility: Visibility, settings: Settings, image_id: str, transition: str) -> bool:
    """Tell whether an operation ends an image: it is still arriving, or its owner's images are expunged at once."""
    try:
        image = visibility.image(image_id)
        after = status_after(image, transition)
    except (ImageNotFound, IllegalTransition):
        return False
    direct = retention_of(visibility.catalog.account(image.owner), settings).policy == "direct"
    return after is GONE or (after is ImageStatus.DELETED and direct)

"""What can't be undone, so that a second question names what goes."""

from collections.abc import Mapping

from catalog.errors import IllegalTransition, ImageNotFound
from catalog.reading import Reading
from catalog.rules.retention import retention_of
from catalog.rules.transitions import GONE, status_after
from catalog.settings import Settings

GRAVE = {
    "expunge_image": "", "purge_recycle_bin": "", "delete_exported_image": "", "delete_volume": "",
    "clean_up_leftovers": "approve=yes",
}  # fmt: skip
"""Flow → always (empty), or only with a field's value."""


def grave_of(catalog: Reading, settings: Settings, flow: str, given: Mapping[str, object]) -> str | None:
    """Return when a flow asks a second time: empty for always, `field=value` for only then, None for never.

    given: what its form begins with. A delete asks where an image would not come to rest in the recycle bin.
    """
    ids = given.get("image_ids")
    if flow == "delete_image" and isinstance(ids, list):
        return "" if any(_vanishes(catalog, settings, str(image_id)) for image_id in ids) else None
    return GRAVE.get(flow)


def _vanishes(catalog: Reading, settings: Settings, image_id: str) -> bool:
    """Tell whether a delete is the end of an image: it is still arriving, or its owner's are expunged at once."""
    try:
        image = catalog.image(image_id)
        after = status_after(image, "delete")
    except (ImageNotFound, IllegalTransition):
        return False
    return after is GONE or retention_of(catalog.account(image.owner), settings).policy == "direct"

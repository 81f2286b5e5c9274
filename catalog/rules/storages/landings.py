"""Which unpublished landings may still be resumed; the others are reclaimed.

A landing is named after its image, `<image id>` or `<image id>.<what for>`. Landings of other names belong to work on
the storage itself (a running sync, a repair), which ends them.
"""

from uuid import UUID

from catalog.records import Image, ImageStatus

ARRIVING = (ImageStatus.CREATING, ImageStatus.DOWNLOADING, ImageStatus.MIGRATING)


def image_of_landing(landing_id: str) -> str | None:
    """Return the id of the image that a landing is named after, None if it is not named after one."""
    first = landing_id.partition(".")[0]
    try:
        return first if str(UUID(first)) == first else None
    except ValueError:
        return None


def landing_needed(landing_id: str, image: Image | None, *, whole_here: bool, busy: bool) -> bool:
    """Tell whether a landing may still be resumed.

    image: the one it is named after, None if the catalog has none. whole_here: a Ready replica of it is on this storage.
    busy: a holder that is not dead has the image's lock.
    """
    if busy or image_of_landing(landing_id) is None:
        return True
    if image is None or image.status is ImageStatus.DELETED:
        return False
    return image.status in ARRIVING or not whole_here

"""What the catalog knows, where not to know it is an answer."""

from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound
from catalog.records import Image

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


def known_image(catalog: "Reading", image_id: str) -> Image | None:
    """Return an image, None where there is none, or none any more."""
    try:
        return catalog.image(image_id)
    except ImageNotFound:
        return None

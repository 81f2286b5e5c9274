"""Lines of images with their storages and replacements. A page of them takes one query."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from catalog.errors import ImageNotFound
from catalog.records import Image, Replica
from console.pages.rows import Row, image_row, retried
from console.visibility import Visibility
from storage.uploads import Uploads

AT_ONCE = 100
"""Most images whose replicas are read in one query: two pages."""


def image_rows(visibility: Visibility, uploads: Uploads, images: Iterable[Image]) -> Iterator[Row]:
    """Return the lines of visible images, in their order."""
    waiting, catalog = iter(images), visibility.catalog
    while some := list(islice(waiting, AT_ONCE)):
        places: defaultdict[str, list[Replica]] = defaultdict(list)
        for replica in catalog.replicas_of([image.id for image in some]):
            places[replica.image_id].append(replica)
        for image in some:
            row = image_row(image, places[image.id], _instead(visibility, image))
            yield retried(uploads, row, image, places[image.id])


def _instead(visibility: Visibility, image: Image) -> Image | None:
    """Return the visible replacement of a deprecated image, None if there is none."""
    if not image.deprecated or not image.replaced_by:
        return None
    try:
        return visibility.image(image.replaced_by)
    except ImageNotFound:
        return None

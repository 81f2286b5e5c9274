"""Names of our objects in a store. Files left there by file managers, editors and S3 browsers are ignored."""

import re
from collections.abc import Iterator

from catalog.errors import InvalidRequest
from storage.protocols import ObjectInfo, ObjectStore

NUMBER = "[0-9]{12}"
DIGEST = "[0-9a-f]{64}"
SEGMENT = "[0-9]{12}(-[0-9]{12}-[0-9]{6})?"
PACK = "([0-9a-f]{2})/\\1[0-9a-f]{62}"
IMAGE = "[0-9A-Za-z][0-9A-Za-z_-]*"
IN_LANDING = "[^/]+/.+"


def listed(objects: ObjectStore, prefix: str, pattern: str) -> Iterator[ObjectInfo]:
    """List the objects below `prefix` whose remaining name matches `pattern`, one of the above."""
    ours = re.compile(pattern)
    for info in objects.list(prefix):
        if ours.fullmatch(info.name, len(prefix)):
            yield info


def numbers(objects: ObjectStore, prefix: str) -> list[int]:
    """Return the numbers that objects below `prefix` are named by, ascending."""
    return [int(info.name.removeprefix(prefix)) for info in listed(objects, prefix, NUMBER)]


def require_image(image_id: str) -> None:
    """Raise InvalidRequest for an id that listings would ignore: a reclaim would delete the image's chips."""
    if not re.fullmatch(IMAGE, image_id):
        raise InvalidRequest("image_id", image_id, "letters, digits, - and _")

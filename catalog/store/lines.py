"""What lists of images are found and sorted by: one narrow row an image, so that a search looks through megabytes, not all records.

A part of a word finds, in any case: there is nothing to be split at, in no language.
"""

import re
from collections.abc import Sequence
from typing import Literal

from catalog.records import Image

LineOrder = Literal[
    "created_at", "name", "system", "status", "image_type", "format", "owner", "virtual_size_bytes", "image_storages"
]
"""What a list of images can be in the order of. image_storages: where its replicas are."""
COPIED = (
    "status", "image_type", "format", "owner", "sharing_mode", "deprecated", "cpu_architecture", "virtual_size_bytes",
)  # fmt: skip
"""Fields of an image that its line has as they are."""
DIGITS = re.compile("[0-9]+")


def line_of(image: Image) -> dict[str, object]:
    """Return an image's line: its columns."""
    copied = {field: getattr(image, field) for field in COPIED}
    said = {"words": words_of(image), "name": counted(image.name), "system": counted(system_of(image))}
    return {"created_at": image.created_at, "image_id": image.id, **copied, "status": image.status.value, **said}


def words_of(image: Image) -> str:
    """Return all that an image is found by, in small letters."""
    said = (image.name, image.description, image.os, image.family, image.build_version)
    found = (image.boot.guest_os if image.boot else None, *image.labels)
    return "\n".join(filter(None, (*said, image.id, image.md5, image.sha256, *found))).casefold()


def system_of(image: Image) -> str:
    """Return what runs in an image, as it was found, else as it was declared; and for which processor."""
    found = (image.boot.guest_os if image.boot else None) or image.os
    return " ".join(filter(None, (found, image.cpu_architecture)))


def counted(text: str) -> str:
    """Return a text that sorts as people count: a9 before a10, in any case."""

    def number(found: re.Match[str]) -> str:
        digits = found[0].lstrip("0")
        return f"{len(digits):04}{digits}"

    return DIGITS.sub(number, text.casefold())


def in_order(images: Sequence[Image], order: LineOrder, *, down: bool) -> list[Image]:
    """Return images as a store without columns sorts them: what has no value last, among equals the newest first."""
    newest = sorted(images, key=lambda image: (image.created_at, image.id), reverse=order != "created_at" or down)
    if order == "created_at":
        return newest
    said = [image for image in newest if _sorted_by(image, order) is not None]
    said.sort(key=lambda image: _sorted_by(image, order) or (0, ""), reverse=down)
    return said + [image for image in newest if _sorted_by(image, order) is None]


def _sorted_by(image: Image, order: LineOrder) -> tuple[int, str] | None:
    """Return what an image is sorted by, None where it has no value."""
    if order == "virtual_size_bytes":
        return None if image.virtual_size_bytes is None else (image.virtual_size_bytes, "")
    found = min(image.image_storages, default="") if order == "image_storages" else line_of(image)[order]
    return (0, str(found)) if found else None

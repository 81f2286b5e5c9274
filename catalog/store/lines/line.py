"""Lines: one narrow row per image, by which lists are searched and sorted, so a search scans megabytes, not records.

A search matches any part of a word, in any case; text is never split into words, whose limits depend on the language.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from catalog.records import Image

LineOrder = Literal[
    "created_at", "name", "system", "status", "image_type", "format", "owner", "virtual_size_bytes", "image_storages"
]
"""Columns that a list of images can be sorted by. image_storages: where an image's replicas are."""
COPIED = (
    "status", "image_type", "format", "owner", "sharing_mode", "deprecated", "cpu_architecture", "virtual_size_bytes",
)  # fmt: skip
"""Fields of an image that its line copies."""
DIGITS = re.compile("[0-9]+")


class Spot(NamedTuple):
    """The position of an image in a list. value: its sort value, None if it has none."""

    value: tuple[int, str] | None
    created_at: datetime
    image_id: str


def line_of(image: Image) -> dict[str, object]:
    """Return the columns of an image's line."""
    copied = {field: getattr(image, field) for field in COPIED}
    said = {"words": words_of(image), "name": counted(image.name), "system": counted(system_of(image))}
    return {"created_at": image.created_at, "image_id": image.id, **copied, "status": image.status.value, **said}


def words_of(image: Image) -> str:
    """Return the searchable text of an image, in lower case."""
    said = (image.name, image.description, image.os, image.family, image.build_version)
    found = (image.boot.guest_os if image.boot else None, *image.labels)
    return "\n".join(filter(None, (*said, image.id, image.md5, image.sha256, *found))).casefold()


def system_of(image: Image) -> str:
    """Return the guest OS of an image, as detected, otherwise as declared, and its architecture."""
    found = (image.boot.guest_os if image.boot else None) or image.os
    return " ".join(filter(None, (found, image.cpu_architecture)))


def counted(text: str) -> str:
    """Return a sort key in natural order, ignoring case: a9 before a10."""

    def number(found: re.Match[str]) -> str:
        digits = found[0].lstrip("0")
        return f"{len(digits):04}{digits}"

    return DIGITS.sub(number, text.casefold())


def in_order(images: Iterable[Image], order: LineOrder, *, down: bool) -> Sequence[str]:
    """Return the ids of images in an order, for stores without lines."""
    spots = [spot_of(image, order, min(image.image_storages, default=None)) for image in images]
    return [spot.image_id for spot in sorted_spots(spots, order, down=down)]


def spot_of(image: Image, order: LineOrder, storage: str | None) -> Spot:
    """Return the position of an image. storage: the first one that holds it."""
    found = storage if order == "image_storages" else line_of(image)[order]
    return Spot(value_of(found, order), image.created_at, image.id)


def value_of(cell: object, order: LineOrder) -> tuple[int, str] | None:
    """Return the sort value of a column's cell."""
    if order == "virtual_size_bytes":
        return (cell, "") if isinstance(cell, int) else None
    return (0, str(cell)) if cell else None


def sorted_spots(spots: Iterable[Spot], order: LineOrder, *, down: bool) -> Sequence[Spot]:
    """Sort positions: those without a value last, among equals the newest first."""
    newest = sorted(spots, key=lambda spot: spot[1:], reverse=order != "created_at" or down)
    if order == "created_at":
        return newest
    said = [spot for spot in newest if spot.value is not None]
    said.sort(key=lambda spot: spot.value or (0, ""), reverse=down)
    return said + [spot for spot in newest if spot.value is None]

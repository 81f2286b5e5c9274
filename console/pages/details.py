"""Everything that is known about one image."""

from dataclasses import dataclass
from datetime import datetime

from catalog.records import Event, ExportedImage, Image, Replica
from console.pages.image_lists import image_rows
from console.pages.rows import Row, left_to
from console.pages.values import when
from console.visibility import Visibility
from storage.uploads import Uploads

SHOWN_EVENTS = 100


@dataclass(frozen=True, slots=True)
class Details:
    """An image with what belongs to it. events: newest first, the last hundred."""

    image: Image
    row: Row
    facts: tuple[tuple[str, str], ...]
    replicas: tuple[Replica, ...]
    exports: tuple[ExportedImage, ...]
    events: tuple[Event, ...]


def details_of(visibility: Visibility, uploads: Uploads, image_id: str) -> Details:
    """Return an image's details. Raises ImageNotFound, also for one that is not seen."""
    image, catalog = visibility.image(image_id), visibility.catalog
    events = tuple(catalog.events(image_id))
    (row,) = image_rows(visibility, uploads, [image])
    return Details(
        image,
        left_to(visibility.who, row),
        _facts(image),
        tuple(catalog.replicas(image_id)),
        tuple(catalog.exports(image_id)),
        events[::-1][:SHOWN_EVENTS],
    )


def _facts(image: Image) -> tuple[tuple[str, str], ...]:
    """Return every field that says something, nested ones with their path; where it lies, the replicas say."""
    return tuple(_flat("", image.model_dump(exclude={"image_storages"})))


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [fact for key, inner in value.items() for fact in _flat(f"{path} · {key}" if path else str(key), inner)]
    if isinstance(value, list | tuple):
        value = ", ".join(
            str(item["sentence"] if isinstance(item, dict) and "sentence" in item else item) for item in value
        )
    if isinstance(value, datetime):
        return [(path.replace("_", " "), when(value))]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return [(path.replace("_", " "), str(value))] if value not in (None, "", [], ()) else []

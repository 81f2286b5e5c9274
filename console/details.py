"""Everything that is known about one image."""

from dataclasses import dataclass

from catalog.reading import Reading
from catalog.records import Event, ExportedImage, Image, Replica
from console.rows import Row, image_row

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


def details_of(catalog: Reading, image_id: str) -> Details:
    """Return an image's details. Raises ImageNotFound."""
    image = catalog.image(image_id)
    events = tuple(catalog.events(image_id))
    return Details(
        image, image_row(image), _facts(image), tuple(catalog.replicas(image_id)), tuple(catalog.exports(image_id)),
        events[::-1][:SHOWN_EVENTS],
    )  # fmt: skip


def _facts(image: Image) -> tuple[tuple[str, str], ...]:
    """Return every field that says something, nested ones with their path."""
    return tuple(_flat("", image.model_dump(mode="json")))


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            fact
            for key, inner in value.items()
            for fact in _flat(f"{path} · {key}" if path else str(key), inner)
        ]
    if isinstance(value, list):
        value = ", ".join(
            str(item["sentence"] if isinstance(item, dict) and "sentence" in item else item) for item in value
        )
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return [(path.replace("_", " "), str(value))] if value not in (None, "", []) else []

"""A clock and records to put into catalogs."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from catalog import open_catalog
from catalog.records import ExportedImage, Host, Image, ImageStorage, Replica
from catalog.repository.catalog import Catalog
from catalog.repository.opening import add_default_storages

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Ticking:
    """A clock that moves a second each time it is asked."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def opened(url: str, clock: Callable[[], datetime] | None = None) -> Catalog:
    """Open a catalog that has the default storages, also where several hosts share it."""
    catalog = open_catalog(url, clock=clock)
    if not any(catalog.image_storages()):
        add_default_storages(catalog, catalog.now())
    return catalog


def an_image(**fields: object) -> Image:
    given: dict[str, object] = {"id": str(uuid.uuid4()), "name": "debian 12", "format": "qcow2"}
    stored = {"format_stored": "qcow2", "created_at": START, "updated_at": START}
    return Image.model_validate(given | stored | fields)


def a_replica(image: Image, storage: str = "default", **fields: object) -> Replica:
    return Replica.model_validate(
        {"image_id": image.id, "image_storage": storage, "format": "qcow2", "created_at": START} | fields
    )


def an_export(image: Image, **fields: object) -> ExportedImage:
    given = {"id": str(uuid.uuid4()), "image_id": image.id, "image_storage": "default", "format": "raw"}
    facts = {"path": "/x", "size_bytes": 1, "md5": "a", "sha256": "b", "created_at": START}
    return ExportedImage.model_validate(given | facts | fields)


def a_storage(name: str = "near", **fields: object) -> ImageStorage:
    given = {"name": name, "kind": "imagestore", "url": "file:///srv/near", "created_at": START}
    return ImageStorage.model_validate(given | fields)


def a_host(name: str = "a", **fields: object) -> Host:
    return Host.model_validate({"name": name, "last_seen": START, "created_at": START} | fields)


def saved(catalog: Catalog, *images: Image) -> list[Image]:
    with catalog.changing(actor="admin") as change:
        return [change.save_image(image) for image in images]

"""Where exports of a replica are written, and on which host they lie.

| catalog, image storage | folder of its exports | host |
|---|---|---|
| SQLite | in `IMAGEWRIGHT_EXPORTS` | its only one |
| `IMAGEWRIGHT_EXPORTS` is set on hosts that share a catalog | that folder, which all of them must share | any |
| a directory | `exports/` below it | the directory's owner; any, if it is shared |
| a bucket | `exports/` in it (`tasks/images/kept_exports.py`), written on the disk of the exporting host first | any |
| all others | the exports folder of the host that makes them | that one: `ExportedImage.host` |
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from catalog.errors import StorageElsewhere, StorageNotFound
from catalog.records import ExportedImage, ImageStorage
from catalog.rules.storages.hosts import bound_to
from catalog.settings import Settings
from storage.shared_folder import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.repository.reading.reading import Reading

BELOW = "exports"


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """A folder of exports. host: its owner, None if the storage or a setting tells it."""

    folder: Path
    host: str | None = None


def export_place(storage: ImageStorage, settings: Settings) -> ExportPlace:
    """Return the folder in which this host makes exports of a storage."""
    if settings.exports is not None or not settings.catalog_is_shared:
        return ExportPlace(settings.exports_folder)
    if storage.url.startswith("file:"):
        return ExportPlace(folder_of(storage) / BELOW)
    return ExportPlace(settings.exports_folder, settings.host_name)


def export_places(catalog: "Reading", settings: Settings) -> "Iterator[ExportPlace]":
    """Yield each exports folder that this host sees, once."""
    found = {settings.exports_folder: ExportPlace(settings.exports_folder)}
    for storage in catalog.image_storages() if settings.catalog_is_shared else ():
        if bound_to(storage) in (None, settings.host_name):
            place = export_place(storage, settings)
            found.setdefault(place.folder, place)
    yield from found.values()


def host_of_export(catalog: "Reading", settings: Settings, export: ExportedImage) -> str | None:
    """Return the only host that reaches an export, None if every host does, or if the owner is unknown."""
    if export.host is not None or not settings.catalog_is_shared:
        return export.host
    if settings.exports is not None and Path(export.path).is_relative_to(settings.exports):
        return None
    try:
        return bound_to(catalog.image_storage(export.image_storage))
    except StorageNotFound:
        return None


def is_here(catalog: "Reading", settings: Settings, export: ExportedImage) -> bool:
    """Tell whether this host would reach an export's file, whether or not the file exists."""
    return host_of_export(catalog, settings, export) in (None, settings.host_name)


def location_of(export: ExportedImage) -> str:
    """Return an export's location, with the only host that reaches it: a deferred deletion is done there."""
    return f"file://{export.host}{quote(export.path)}" if export.host else export.path


def path_here(location: str, settings: Settings) -> Path:
    """Return the path of a location on this host. Raises StorageElsewhere if it is another host's."""
    if not location.startswith("file://"):
        return Path(location)
    parts = urlsplit(location)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", settings.host_name):
        raise StorageElsewhere(path.name, parts.netloc, settings.host_name, kind="export")
    return path

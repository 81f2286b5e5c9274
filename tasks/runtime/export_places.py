"""Where the complete file of a replica is made, and on which host it lies.

| catalog, image storage | its exports lie | on host |
|---|---|---|
| SQLite | in `IMAGEWRIGHT_EXPORTS` | its only one |
| `IMAGEWRIGHT_EXPORTS` is set on hosts that share a catalog | there: it is said to be one folder for all of them | any |
| a directory | in `exports/` below it | whose the directory is; any, where it is shared |
| a bucket | in `exports/` of it (`tasks/images/kept_exports.py`), made on the disk of the host that does it | any |
| all others | in the exports of the host that makes them | that one: `ExportedImage.host` |
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
    """A folder of exports. host: whose it is, None where its storage or a setting says so."""

    folder: Path
    host: str | None = None


def export_place(storage: ImageStorage, settings: Settings) -> ExportPlace:
    """Return where this host makes exports of a storage."""
    if settings.exports is not None or not settings.catalog_is_shared:
        return ExportPlace(settings.exports_folder)
    if storage.url.startswith("file:"):
        return ExportPlace(folder_of(storage) / BELOW)
    return ExportPlace(settings.exports_folder, settings.host_name)


def export_places(catalog: "Reading", settings: Settings) -> "Iterator[ExportPlace]":
    """Yield every folder of exports that this host sees, once."""
    found = {settings.exports_folder: ExportPlace(settings.exports_folder)}
    for storage in catalog.image_storages() if settings.catalog_is_shared else ():
        if bound_to(storage) in (None, settings.host_name):
            place = export_place(storage, settings)
            found.setdefault(place.folder, place)
    yield from found.values()


def host_of_export(catalog: "Reading", settings: Settings, export: ExportedImage) -> str | None:
    """Return the host that alone reaches an export, None where each does, or where nothing says whose it is."""
    if export.host is not None or not settings.catalog_is_shared:
        return export.host
    if settings.exports is not None and Path(export.path).is_relative_to(settings.exports):
        return None
    try:
        return bound_to(catalog.image_storage(export.image_storage))
    except StorageNotFound:
        return None


def is_here(catalog: "Reading", settings: Settings, export: ExportedImage) -> bool:
    """Tell whether this host reaches an export, if its file is there at all."""
    return host_of_export(catalog, settings, export) in (None, settings.host_name)


def location_of(export: ExportedImage) -> str:
    """Return where an export lies, with the host that alone reaches it: what is deleted later is deleted there."""
    return f"file://{export.host}{quote(export.path)}" if export.host else export.path


def path_here(location: str, settings: Settings) -> Path:
    """Return the path that a location means on this host. Raises StorageElsewhere."""
    if not location.startswith("file://"):
        return Path(location)
    parts = urlsplit(location)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", settings.host_name):
        raise StorageElsewhere(path.name, parts.netloc, settings.host_name, kind="export")
    return path

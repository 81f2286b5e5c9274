"""Exports kept on the image storage itself, in a bucket, where every host reads and deletes them."""

from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import StorageRefused
from catalog.records import ExportedImage
from catalog.settings import Settings
from storage.abilities import KeepsExports
from storage.protocols import ImageStorage
from storage.replicas.proven_files import size_of
from tasks.runtime.export_places import is_here
from tasks.runtime.resources import open_image_storage

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


def is_kept(location: str) -> bool:
    """Tell whether an export's path is a URL on its image storage rather than a file of a host."""
    return "://" in location and not location.startswith("file://")


def keeps(storage: ImageStorage, settings: Settings) -> KeepsExports | None:
    """Return the storage if it keeps its own exports, None if they stay files: by setting, or with one host only."""
    wanted = settings.catalog_is_shared and settings.exports is None
    return storage if wanted and isinstance(storage, KeepsExports) else None


def keeper_of(catalog: "Reading", settings: Settings, image_storage: str) -> KeepsExports:
    """Open the image storage that an export lies on.

    Raises StorageRefused for one that keeps none, StorageUnavailable.
    """
    storage = open_image_storage(catalog.image_storage(image_storage), settings)
    if not isinstance(storage, KeepsExports):
        raise StorageRefused(image_storage, "it keeps no exports")
    return storage


def is_there(catalog: "Reading", settings: Settings, export: ExportedImage) -> bool:
    """Tell whether an export's bytes are there, in the recorded size, within reach of this host.

    An export on an image storage must look as it did when it was proven. Raises StorageUnavailable.
    """
    if is_kept(export.path):
        return export.proven == keeper_of(catalog, settings, export.image_storage).export_look(export.path)
    return is_here(catalog, settings, export) and size_of(Path(export.path)) == export.size_bytes

"""Decide which landings are still needed."""

from typing import TYPE_CHECKING

from catalog.rules.storages.landings import image_of_landing, landing_needed
from storage.protocols import ImageStorage
from tasks.replicas.readable import whole_replicas
from tasks.runtime.holders import is_busy
from tasks.runtime.resources import known_image, open_image_storage

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.settings import Settings


def open_to_delete(catalog: "Catalog", settings: "Settings", name: str) -> ImageStorage:
    """Open a storage to delete something that may be there.

    Raises StorageUnavailable if its disk is not mounted or belongs to another host. Opening it then would create an
    empty store in its place, and the bytes would count as deleted.
    """
    from storage.registry import require_present

    record = catalog.image_storage(name)
    if any(True for _ in catalog.replicas(image_storage=name)):  # otherwise nothing may ever have been stored there
        require_present(record, settings.host_name)
    return open_image_storage(record, settings)


SYNC = "sync-"
"""Prefix of a sync batch's landing."""
COMPACTION = "compaction-"
"""Prefix of a landing that pins the chips a compaction rewrites."""


def needed_landings(catalog: "Catalog", storage: ImageStorage) -> frozenset[str]:
    """Return the landings on a storage that may still be resumed."""
    ids = [found.landing_id for found in storage.landings()]
    return frozenset(i for i in ids if is_needed(catalog, storage.name, i))


def is_needed(catalog: "Catalog", storage: str, landing_id: str) -> bool:
    """Tell whether a landing may still be resumed."""
    image_id = image_of_landing(landing_id) or landing_id
    if landing_id.startswith((SYNC, COMPACTION)):  # a run that works on it holds the lock of its name
        return is_busy(catalog, landing_id)
    image = known_image(catalog, image_id)
    ready = {replica.image_storage for replica in whole_replicas(catalog, image_id)}
    return landing_needed(landing_id, image, whole_here=storage in ready, busy=is_busy(catalog, image_id))

"""What an add that died left on a storage."""

from collections.abc import Sequence

from storage.abilities import Completing
from storage.protocols import ImageStorage, StoredImage


def discard_landings(storage: ImageStorage, image_id: str) -> None:
    """Delete what is still landing of an image, converted or to be converted; what is published stays."""
    for landing in tuple(storage.landings()):
        if landing.landing_id.partition(".")[0] == image_id:
            storage.landing(landing.landing_id).discard()


def published_already(storages: Sequence[ImageStorage], image_id: str) -> list[StoredImage]:
    """Return what the storages hold of an image whose publication a death broke off, its landings discarded.

    Only for who holds the image's lease: a publication that has begun is ended.
    """
    for storage in storages:
        if isinstance(storage, Completing):
            storage.complete_publication(image_id)
    holding = [storage for storage in storages if storage.contains(image_id)]
    found = [storage.stored(image_id) for storage in holding]
    for storage in holding:
        discard_landings(storage, image_id)  # the death may have come before the storage did
    return found

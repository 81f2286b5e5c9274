"""What image storages can do besides their protocol: asked with isinstance by the operations that need it."""

from collections.abc import Set as AbstractSet
from typing import Protocol, runtime_checkable

from catalog.errors import ImageNotFound
from catalog.records import ReclaimReport, VerifyReport
from storage.protocols import Digests, ImageStorage, StoredImage


@runtime_checkable
class Clonable(Protocol):
    """An image storage whose replicas can be cloned where they lie."""

    def clones(self, image_id: str) -> tuple[str, ...]:
        """Return the names of everything that was cloned from a replica. Raises ImageNotFound."""
        ...


@runtime_checkable
class Provable(Protocol):
    """An image storage that proves what it keeps piece by piece, and takes good pieces in place of damaged ones."""

    def verify(
        self,
        image_id: str,
        *,
        first_object: int = 0,
        budget_bytes: int | None = None,
        bytes_per_second: int | None = None,
    ) -> tuple[VerifyReport, int | None]:
        """Read and prove a replica; return what was found and the piece to go on with, None at the end.

        Items that failed are damaged: subject `IMAGE_ID@OFFSET`, bytes the length. Raises ImageNotFound where there is no
        replica, DigestMismatch or ObjectMissing where what describes the replica is itself damaged.
        """
        ...

    def repair_object(self, image_id: str, offset: int, data: bytes) -> None:
        """Put good bytes in place of the damaged piece at `offset`. Raises DigestMismatch if they are not that piece."""
        ...


@runtime_checkable
class Measured(Protocol):
    """An image storage that keeps files whose digests are not known from the beginning: those that it made by conversion."""

    def measured(self, image_id: str) -> Digests | None:
        """Return the digests of the stored file if it was measured since, reading nothing of it. Raises ImageNotFound."""
        ...


@runtime_checkable
class Completing(Protocol):
    """An image storage whose publication has a point from which it can only go on."""

    def complete_publication(self, image_id: str) -> None:
        """End a publication that a death broke off past that point; a no-op at any other state.

        Only for who holds the image's lease: whoever else is publishing it is stopped.
        """
        ...


@runtime_checkable
class Reclaimable(Protocol):
    """An image storage on which dead work leaves something behind that takes space."""

    def reclaim(
        self, keep_landings: AbstractSet[str] | None = None, *, plan_only: bool = False
    ) -> ReclaimReport:
        """Free what no image and no landing needs; landings not in `keep_landings` are discarded. None: all are kept.

        Never touches what a writer is at work on. plan_only: says what would be freed and changes nothing.
        """
        ...


@runtime_checkable
class Indexed(Protocol):
    """An image storage that finds its images' bytes through an index, which can be lost and written anew."""

    def restore_index(self) -> int:
        """Index what images need and the index lacks; return how many packs. Nothing to do: reads the index and all manifests."""
        ...


@runtime_checkable
class Describing(Protocol):
    """An image storage that describes one image without looking at the others."""

    def stored(self, image_id: str) -> StoredImage:
        """Return what the storage knows about an image it holds. Raises ImageNotFound."""
        ...


def stored_image(storage: ImageStorage, image_id: str) -> StoredImage:
    """Return what a storage knows about an image it holds, if need be by listing all. Raises ImageNotFound."""
    if isinstance(storage, Describing):
        return storage.stored(image_id)
    for stored in storage.images():
        if stored.image.id == image_id:
            return stored
    raise ImageNotFound(f"{image_id} on {storage.name}")

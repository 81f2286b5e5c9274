"""A change: one transaction in which records are saved and the event log grows, or nothing happens at all."""

from catalog import errors, kinds
from catalog.history import image_named
from catalog.records import (
    Account,
    CachedImage,
    Deferred,
    Event,
    ExportedImage,
    Image,
    ImageStorage,
    Leftover,
    PrimaryStorage,
    Record,
    Replica,
    Volume,
)
from catalog.reserving import Reserving
from catalog.rules.deferred import PROVE_ON, tried_again, work_id
from catalog.storable import storable

IMAGE_EVENT = "imagewright.image."


class Change(Reserving):
    """Reads what it has already written. Every save and removal is logged with who did it, before and after."""

    def save_image(self, image: Image, event: str | None = None) -> Image:
        """Add an image (version 0) or replace the version that was read; return it with its new version.

        Raises StaleImage if it was changed meanwhile, ImageNotFound if it was removed.
        """
        before = self._transaction.get(kinds.IMAGE, (image.id,))
        if before is None and image.version > 0:
            raise errors.ImageNotFound(image.id)
        stored = 0 if before is None else before.version
        if stored != image.version:
            raise errors.StaleImage(image.id, image.version, stored)
        after = image.model_copy(update={"version": stored + 1, "updated_at": self._clock()})
        return self._put(kinds.IMAGE, before, after, event)

    def remove_image(self, image_id: str, event: str = IMAGE_EVENT + "expunged") -> None:
        """Take an image out of the catalog; the log keeps all of it. Refused while replicas or exports are recorded."""
        kept = [f"kept on {r.image_storage}" for r in self.replicas(image_id)]
        kept += [f"exported as {e.id}" for e in self.exports(image_id)]
        if kept:
            raise errors.IllegalTransition(
                f"image {image_id}",
                ", ".join(kept),
                "removing its record",
                ("nowhere on a storage any more",),
            )
        self._remove(kinds.IMAGE, (image_id,), event)
        for lock in (image_id, f"export:{image_id}"):
            self._transaction.delete(kinds.LEASE, (lock,))
        self.release(f"image:{image_id}")

    def save_replica(self, replica: Replica, event: str | None = None) -> None:
        """Add or replace a replica. Raises ImageNotFound, StorageNotFound."""
        self.image(replica.image_id)
        self.image_storage(replica.image_storage)
        self._save(kinds.REPLICA, replica, event)

    def remove_replica(self, image_id: str, image_storage: str, event: str | None = None) -> None:
        """Forget a replica, and how far a proof of it came; a no-op if there is none."""
        self._remove(kinds.REPLICA, (image_id, image_storage), event)
        for work in tuple(self.pending(image_id=image_id, storage=image_storage)):
            if work.operation == PROVE_ON:  # what comes back there is proven from its front
                self.remove_deferred(work.id)

    def save_export(self, export: ExportedImage, event: str = IMAGE_EVENT + "exported") -> None:
        """Add or replace an exported image. Raises ImageNotFound."""
        self.image(export.image_id)
        self._save(kinds.EXPORT, export, event)

    def remove_export(self, export_id: str, event: str | None = None) -> None:
        """Forget an exported image; a no-op if there is none."""
        self._remove(kinds.EXPORT, (export_id,), event)

    def save_leftover(self, leftover: Leftover, event: str | None = None) -> None:
        """Add or replace a leftover."""
        self._save(kinds.LEFTOVER, leftover, event)

    def remove_leftover(self, leftover_id: str, event: str | None = None) -> None:
        """Forget a leftover; a no-op if there is none."""
        self._remove(kinds.LEFTOVER, (leftover_id,), event)

    def save_volume(self, volume: Volume, event: str | None = None) -> None:
        """Add or replace a volume."""
        self._save(kinds.VOLUME, volume, event)

    def remove_volume(self, volume_id: str, event: str | None = None) -> None:
        """Forget a volume; a no-op if there is none."""
        self._remove(kinds.VOLUME, (volume_id,), event)

    def save_cached_image(self, cached: CachedImage, event: str | None = None) -> None:
        """Add or replace the cached copy of an image on a primary storage."""
        self._save(kinds.CACHED, cached, event)

    def remove_cached_image(self, image_id: str, primary_storage: str, event: str | None = None) -> None:
        """Forget a cached copy; a no-op if there is none."""
        self._remove(kinds.CACHED, (image_id, primary_storage), event)

    def save_image_storage(self, storage: ImageStorage, event: str | None = None) -> None:
        """Add or replace an image storage."""
        self._save(kinds.IMAGE_STORAGE, storage, event)

    def save_primary_storage(self, storage: PrimaryStorage, event: str | None = None) -> None:
        """Add or replace a primary storage."""
        self._save(kinds.PRIMARY_STORAGE, storage, event)

    def save_account(self, account: Account, event: str | None = None) -> None:
        """Add or replace what is configured for an account."""
        self._save(kinds.ACCOUNT, account, event)

    def record(
        self, kind: str, subject: str, *, before: Record | None = None, after: Record | None = None
    ) -> Event:
        """Log a note: an event that changes no record, e.g. a replica that was found damaged."""
        old, new = (storable(said) if said is not None else None for said in (before, after))
        return self._log(kind, subject, old, new, note=True)

    def defer(
        self,
        operation: str,
        subject: str,
        reason: str,
        *,
        storage: str = "",
        location: str = "",
        size_bytes: int = 0,
    ) -> Deferred:
        """Put work off until later, e.g. `delete replica` of `replica:<image id>@<storage>`; twice is one entry."""
        identity = work_id(operation, subject, storage, location)
        known = self._transaction.get(kinds.DEFERRED, (identity,))
        work = known or Deferred(
            id=identity, operation=operation, subject=subject, image_id=image_named(subject), storage=storage,
            location=location, bytes=size_bytes, reason=reason, created_at=self._clock(),
        )  # fmt: skip
        work = work.model_copy(update={"reason": reason})
        self._save(kinds.DEFERRED, work, "imagewright.work.deferred")
        return work

    def tried(self, work: Deferred, reason: str) -> Deferred:
        """Record one more attempt at deferred work that failed."""
        after = tried_again(work, reason, self._clock())
        self._save(kinds.DEFERRED, after, "imagewright.work.tried")
        return after

    def remove_deferred(self, work_id: str) -> None:
        """Forget deferred work: it was done. A no-op if there is none."""
        self._remove(kinds.DEFERRED, (work_id,), "imagewright.work.done")

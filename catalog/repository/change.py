"""A change: one transaction that saves records and appends to the event log, all or nothing."""

from catalog import errors
from catalog.log import events
from catalog.log.entries import image_named
from catalog.records import (
    Account,
    CachedImage,
    Deferred,
    Delivery,
    Event,
    ExportedImage,
    Image,
    ImageStorage,
    Leftover,
    PrimaryStorage,
    Record,
    Replica,
    Volume,
    Webhook,
    WebhookCursor,
)
from catalog.repository.hosting import Hosting
from catalog.repository.identities.changing import IdentityChanges
from catalog.repository.promoting import Promoting
from catalog.rules.upkeep.deferred import PROVE_ON, tried_again, work_id
from catalog.store import record_kinds
from catalog.store.storable import storable


class Change(Hosting, IdentityChanges, Promoting):
    """Saves and removes records, each logged with actor, before and after. Reads see the change's own writes."""

    def save_image(self, image: Image, event: str | None = None) -> Image:
        """Add an image (version 0) or replace the version that was read; return it with its new version.

        Raises StaleImage if the image was changed meanwhile, ImageNotFound if it was removed.
        """
        before = self._transaction.get(record_kinds.IMAGE, (image.id,))
        if before is None and image.version > 0:
            raise errors.ImageNotFound(image.id)
        stored = 0 if before is None else before.version
        if stored != image.version:
            raise errors.StaleImage(image.id, image.version, stored)
        after = image.model_copy(update={"version": stored + 1, "updated_at": self._clock()})
        return self._put(record_kinds.IMAGE, before, after, event)

    def remove_image(self, image_id: str, event: str = events.IMAGE_EXPUNGED) -> None:
        """Remove an image from the catalog; the log keeps all of it. Refused while it has replicas or exports."""
        kept = [f"kept on {r.image_storage}" for r in self.replicas(image_id)]
        kept += [f"exported as {e.id}" for e in self.exports(image_id)]
        if kept:
            raise errors.IllegalTransition(
                f"image {image_id}",
                ", ".join(kept),
                "removing its record",
                ("nowhere on a storage any more",),
            )
        self._remove(record_kinds.IMAGE, (image_id,), event)
        for lock in (image_id, f"export:{image_id}"):
            self._transaction.delete(record_kinds.LEASE, (lock,))
        self.release(f"image:{image_id}")

    def save_replica(self, replica: Replica, event: str | None = None) -> None:
        """Add or replace a replica. Raises ImageNotFound, StorageNotFound."""
        self.image(replica.image_id)
        self.image_storage(replica.image_storage)
        self._save(record_kinds.REPLICA, replica, event)

    def remove_replica(self, image_id: str, image_storage: str, event: str | None = None) -> None:
        """Remove a replica and the progress of its verification; a no-op if there is none."""
        self._remove(record_kinds.REPLICA, (image_id, image_storage), event)
        for work in tuple(self.pending(image_id=image_id, storage=image_storage)):
            if work.operation == PROVE_ON:  # a new replica there is verified from its start
                self.remove_deferred(work.id)

    def save_export(self, export: ExportedImage, event: str = events.IMAGE_EXPORTED) -> None:
        """Add or replace an exported image. Raises ImageNotFound."""
        self.image(export.image_id)
        self._save(record_kinds.EXPORT, export, event)

    def remove_export(self, export_id: str, event: str | None = None) -> None:
        """Remove an exported image; a no-op if there is none."""
        self._remove(record_kinds.EXPORT, (export_id,), event)

    def save_leftover(self, leftover: Leftover, event: str | None = None) -> None:
        """Add or replace a leftover."""
        self._save(record_kinds.LEFTOVER, leftover, event)

    def remove_leftover(self, leftover_id: str, event: str | None = None) -> None:
        """Remove a leftover; a no-op if there is none."""
        self._remove(record_kinds.LEFTOVER, (leftover_id,), event)

    def save_volume(self, volume: Volume, event: str | None = None) -> None:
        """Add or replace a volume."""
        self._save(record_kinds.VOLUME, volume, event)

    def remove_volume(self, volume_id: str, event: str | None = None) -> None:
        """Remove a volume; a no-op if there is none."""
        self._remove(record_kinds.VOLUME, (volume_id,), event)

    def save_cached_image(self, cached: CachedImage, event: str | None = None) -> None:
        """Add or replace the cached copy of an image on a primary storage."""
        self._save(record_kinds.CACHED, cached, event)

    def remove_cached_image(self, image_id: str, primary_storage: str, event: str | None = None) -> None:
        """Remove a cached copy; a no-op if there is none."""
        self._remove(record_kinds.CACHED, (image_id, primary_storage), event)

    def save_image_storage(self, storage: ImageStorage, event: str | None = None) -> None:
        """Add or replace an image storage."""
        self._save(record_kinds.IMAGE_STORAGE, storage, event)

    def save_primary_storage(self, storage: PrimaryStorage, event: str | None = None) -> None:
        """Add or replace a primary storage."""
        self._save(record_kinds.PRIMARY_STORAGE, storage, event)

    def save_account(self, account: Account, event: str | None = None) -> None:
        """Add or replace the configuration of an account."""
        self._save(record_kinds.ACCOUNT, account, event)

    def save_webhook(self, webhook: Webhook, event: str | None = None) -> None:
        """Add or replace a webhook. A new one receives events from now on."""
        if self._transaction.get(record_kinds.WEBHOOK_CURSOR, (webhook.name,)) is None:
            last = self._transaction.last_event()
            self.move_webhook(webhook.name, last.sequence if last else 0)
        self._save(record_kinds.WEBHOOK, webhook, event)

    def remove_webhook(self, name: str, event: str | None = None) -> None:
        """Remove a webhook and its deliveries; a no-op if there is none."""
        for delivery in tuple(self.deliveries(name)):
            self.remove_delivery(delivery)
        self._remove(record_kinds.WEBHOOK_CURSOR, (name,), None)
        self._remove(record_kinds.WEBHOOK, (name,), event)

    def move_webhook(self, name: str, sequence: int) -> None:
        """Store the last log entry for which deliveries to a webhook were created; not in the log itself."""
        self._save(record_kinds.WEBHOOK_CURSOR, WebhookCursor(webhook=name, sequence=sequence), None)

    def save_delivery(self, delivery: Delivery) -> None:
        """Add or replace a delivery; not in the log."""
        self._save(record_kinds.DELIVERY, delivery, None)

    def remove_delivery(self, delivery: Delivery) -> None:
        """Remove a delivery; a no-op if there is none."""
        self._remove(record_kinds.DELIVERY, (delivery.webhook, delivery.sequence), None)

    def record(self, kind: str, subject: str, *, before: Record | None = None, after: Record | None = None) -> Event:
        """Log a note: an event that changes no record, e.g. a replica found damaged."""
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
        """Defer work, e.g.

        `delete replica` of `replica:<image id>@<storage>`. Deferring the same work twice is one entry.
        """
        identity = work_id(operation, subject, storage, location)
        known = self._transaction.get(record_kinds.DEFERRED, (identity,))
        work = known or Deferred(
            id=identity,
            operation=operation,
            subject=subject,
            image_id=image_named(subject),
            storage=storage,
            location=location,
            bytes=size_bytes,
            reason=reason,
            created_at=self._clock(),
        )
        work = work.model_copy(update={"reason": reason})
        self._save(record_kinds.DEFERRED, work, events.WORK_DEFERRED)
        return work

    def tried(self, work: Deferred, reason: str) -> Deferred:
        """Record one more failed attempt at deferred work."""
        after = tried_again(work, reason, self._clock())
        self._save(record_kinds.DEFERRED, after, events.WORK_TRIED)
        return after

    def remove_deferred(self, work_id: str) -> None:
        """Remove deferred work that was done; a no-op if there is none."""
        self._remove(record_kinds.DEFERRED, (work_id,), events.WORK_DONE)

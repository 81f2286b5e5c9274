"""A change: one transaction in which records are saved and the event log grows, or nothing happens at all."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import TypeVar, cast

from catalog import errors, kinds
from catalog.history import entry
from catalog.kinds import Key, Kind
from catalog.reading import Reading
from catalog.records import (
    Account,
    CachedImage,
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
from catalog.storable import storable
from catalog.store import Transaction

R = TypeVar("R", bound=Record)
IMAGE_EVENT = "imagewright.image."


class Change(Reading):
    """Reads what it has already written. Every save and removal is logged with who did it, before and after."""

    def __init__(
        self,
        transaction: Transaction,
        clock: Callable[[], datetime],
        page_size: int,
        actor: str,
        run_id: str | None,
    ) -> None:
        super().__init__(lambda: nullcontext(transaction), clock, page_size)
        self._transaction, self._actor, self._run_id = transaction, actor, run_id
        self._last: Event | None = None
        self._events: list[Event] = []

    @property
    def logged(self) -> tuple[Event, ...]:
        """What this change has logged so far."""
        return tuple(self._events)

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

    def save_replica(self, replica: Replica, event: str | None = None) -> None:
        """Add or replace a replica. Raises ImageNotFound, StorageNotFound."""
        self.image(replica.image_id)
        self.image_storage(replica.image_storage)
        self._save(kinds.REPLICA, replica, event)

    def remove_replica(self, image_id: str, image_storage: str, event: str | None = None) -> None:
        """Forget a replica; a no-op if there is none."""
        self._remove(kinds.REPLICA, (image_id, image_storage), event)

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
        """Log an event that changes no record, e.g. a replica that was found damaged."""
        return self._log(kind, subject, before, after)

    def _save(self, kind: Kind[R], record: R, event: str | None) -> None:
        self._put(kind, self._transaction.get(kind, kind.key_of(record)), record, event)

    def _put(self, kind: Kind[R], before: R | None, after: R, event: str | None) -> R:
        after = storable(after)
        if before is None:
            self._transaction.insert(kind, after)
        else:
            self._transaction.update(kind, after)
        self._changed(kind, before, after, event or _named(kind, "added" if before is None else "changed"))
        return after

    def _remove(self, kind: Kind[R], key: Key, event: str | None) -> None:
        before = self._transaction.get(kind, key)
        if before is not None:
            self._transaction.delete(kind, key)
            self._changed(kind, before, None, event or _named(kind, "removed"))

    def _changed(self, kind: Kind[R], before: R | None, after: R | None, event: str) -> None:
        if kind.logged and before != after:
            self._log(event, kind.subject(kind.key_of(cast("R", after or before))), before, after)

    def _log(self, kind: str, subject: str, before: Record | None, after: Record | None) -> Event:
        last = self._last or self._transaction.last_event()
        at = (
            max(last.at, self._clock()) if last else self._clock()
        )  # clocks of hosts differ; the log never goes back
        event = entry(last, at, kind, subject, self._actor, self._run_id, before, after)
        self._transaction.insert(kinds.EVENT, event)
        self._last = event
        self._events.append(event)
        return event


def _named(kind: Kind[Record], what: str) -> str:
    return f"imagewright.{kind.prefix}.{what}"

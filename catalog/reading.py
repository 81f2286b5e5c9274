"""Reading the catalog: what `Catalog` and, inside a change, `Change` answer."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from catalog import errors, kinds
from catalog.accounting import Accounting
from catalog.listing import where
from catalog.query import Query
from catalog.records import (
    CachedImage,
    ExportedImage,
    Image,
    ImageFormat,
    ImageStatus,
    ImageStorage,
    ImageType,
    Leftover,
    PrimaryStorage,
    Record,
    Replica,
    Volume,
)
from catalog.remembering import Remembering
from catalog.rules.sharing import visible

R = TypeVar("R", bound=Record)
AVAILABLE = tuple(status for status in ImageStatus if status is not ImageStatus.DELETED)
"""Every status but that of the recycle bin: what listings show unless asked otherwise."""


class Reading(Accounting, Remembering):
    """Answers questions. Listings are iterators that ask for pages underneath; each page is one moment."""

    def image(self, image_id: str, account: str | None = None) -> Image:
        """Return an image. Raises ImageNotFound also where the account may not see it; None sees everything."""
        image = self._get(kinds.IMAGE, image_id)
        if image is None or (account is not None and not visible(image, self.account(account))):
            raise errors.ImageNotFound(image_id)
        return image

    def images(
        self,
        *,
        status: str | tuple[str, ...] = AVAILABLE,
        name_pattern: str = "*",
        owner: str | None = None,
        account: str | None = None,
        image_storage: str | None = None,
        image_type: ImageType | None = None,
        family: str | None = None,
        format: ImageFormat | None = None,  # noqa: A002 - the field's own name
        changed_since: datetime | None = None,
        expired_at: datetime | None = None,
        after: Image | None = None,
        limit: int | None = None,
    ) -> Iterator[Image]:
        """List images, newest first; without `status` all but those in the recycle bin.

        name_pattern: `*` and `?`; case matters. account: who asks; sees what is visible to it.
        expired_at: those whose expiry is then or was before. after: the last image of the page before. Unknown status, negative limit: InvalidRequest.
        """
        if limit is not None and limit < 0:
            raise errors.InvalidRequest("limit", limit, "0 or more; leave it out for all")
        wanted = {"owner": owner, "image_type": image_type, "family": family, "format": format}
        among: dict[str, tuple[str | int, ...]] = {k: (v,) for k, v in wanted.items() if v is not None}
        among["status"] = _statuses(status)
        query = Query(
            among=among,
            name_pattern=name_pattern,
            changed_since=changed_since,
            expired_at=expired_at,
            stored_on=image_storage,
            visible_to=self.account(account) if account is not None else None,
        )
        return self._limited(query, after, limit)

    def _limited(self, query: Query, after: Image | None, limit: int | None) -> Iterator[Image]:
        place = None if after is None else (after.created_at, after.id)
        if limit is None or limit > self._page_size:
            yield from _first(self._all(kinds.IMAGE, query, place), limit)
            return
        with self._reading() as transaction:
            page = transaction.page(kinds.IMAGE, query, place, limit)
        yield from page

    def bin(self, account: str | None = None) -> Iterator[Image]:
        """List the recycle bin, newest image first."""
        return self.images(status=ImageStatus.DELETED, account=account)

    def latest(self, family: str, account: str | None = None) -> Image:
        """Return the newest enabled, Ready, not deprecated image of a family. Raises ImageNotFound."""
        among: dict[str, tuple[str | int, ...]] = {
            "family": (family,),
            "status": ("Ready",),
            "state": ("Enabled",),
            "deprecated": (False,),
        }
        viewer = self.account(account) if account is not None else None
        for image in self._limited(Query(among=among, visible_to=viewer), None, 1):
            return image
        raise errors.ImageNotFound(f"latest of family {family}")

    def replicas(self, image_id: str | None = None, *, image_storage: str | None = None) -> Iterator[Replica]:
        """List replicas of an image, on a storage, or all."""
        return self._all(kinds.REPLICA, where(image_id=image_id, image_storage=image_storage))

    def replica(self, image_id: str, image_storage: str) -> Replica:
        """Return one replica. Raises ImageNotFound."""
        replica = self._get(kinds.REPLICA, image_id, image_storage)
        if replica is None:
            raise errors.ImageNotFound(f"{image_id} on {image_storage}")
        return replica

    def exports(
        self, image_id: str | None = None, *, image_storage: str | None = None
    ) -> Iterator[ExportedImage]:
        """List exported images, newest first."""
        return self._all(kinds.EXPORT, where(image_id=image_id, image_storage=image_storage))

    def export(self, image_id: str, image_storage: str | None = None) -> ExportedImage:
        """Return the newest export of an image. Raises ExportNotFound."""
        for export in self.exports(image_id, image_storage=image_storage):
            return export
        raise errors.ExportNotFound(image_id)

    def exported(self, export_id: str) -> ExportedImage:
        """Return one export. Raises ExportNotFound."""
        export = self._get(kinds.EXPORT, export_id)
        if export is None:
            raise errors.ExportNotFound(export_id)
        return export

    def leftovers(
        self, *, image_storage: str | None = None, image_id: str | None = None
    ) -> Iterator[Leftover]:
        """List leftovers, newest first."""
        return self._all(kinds.LEFTOVER, where(image_storage=image_storage, image_id=image_id))

    def leftover(self, leftover_id: str) -> Leftover:
        """Return one leftover. Raises LeftoverNotFound."""
        leftover = self._get(kinds.LEFTOVER, leftover_id)
        if leftover is None:
            raise errors.LeftoverNotFound(leftover_id)
        return leftover

    def volumes(self, *, image_id: str | None = None, primary_storage: str | None = None) -> Iterator[Volume]:
        """List volumes, newest first."""
        return self._all(kinds.VOLUME, where(image_id=image_id, primary_storage=primary_storage))

    def volume(self, volume_id: str) -> Volume:
        """Return one volume. Raises VolumeNotFound."""
        volume = self._get(kinds.VOLUME, volume_id)
        if volume is None:
            raise errors.VolumeNotFound(volume_id)
        return volume

    def cached_images(
        self, *, primary_storage: str | None = None, image_id: str | None = None
    ) -> Iterator[CachedImage]:
        """List the image caches of primary storages."""
        return self._all(kinds.CACHED, where(primary_storage=primary_storage, image_id=image_id))

    def cached_image(self, image_id: str, primary_storage: str) -> CachedImage | None:
        """Return the cached copy of an image, or None: it was not downloaded there yet."""
        return self._get(kinds.CACHED, image_id, primary_storage)

    def image_storages(self) -> Iterator[ImageStorage]:
        """List image storages by name."""
        return self._all(kinds.IMAGE_STORAGE)

    def image_storage(self, name: str) -> ImageStorage:
        """Return one image storage. Raises StorageNotFound."""
        storage = self._get(kinds.IMAGE_STORAGE, name)
        if storage is None:
            raise errors.StorageNotFound(name)
        return storage

    def primary_storages(self) -> Iterator[PrimaryStorage]:
        """List primary storages by name."""
        return self._all(kinds.PRIMARY_STORAGE)

    def primary_storage(self, name: str) -> PrimaryStorage:
        """Return one primary storage. Raises PrimaryStorageNotFound."""
        storage = self._get(kinds.PRIMARY_STORAGE, name)
        if storage is None:
            raise errors.PrimaryStorageNotFound(name)
        return storage

    def was_expunged(self, image_id: str) -> bool:
        """Tell whether the log knows an image of this id that is gone."""
        subject = f"image:{image_id}"
        return self._get(kinds.IMAGE, image_id) is None and any(self.events(subject=subject))


def _statuses(status: str | tuple[str, ...]) -> tuple[str, ...]:
    given = (status,) if isinstance(status, str) else status
    known = tuple(s.value for s in ImageStatus)
    for one in given:
        if one not in known:
            raise errors.InvalidRequest("status", str(one), f"one of {', '.join(known)}")
    return tuple(ImageStatus(one).value for one in given)


def _first(images: Iterator[Image], limit: int | None) -> Iterator[Image]:
    for number, image in enumerate(images):
        if limit is not None and number >= limit:
            return
        yield image

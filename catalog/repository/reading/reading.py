"""Read the catalog: the queries of `Catalog` and, inside a change, of `Change`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, Unpack, get_args

from catalog import errors
from catalog.records import (
    Architecture,
    CachedImage,
    Channel,
    ExportedImage,
    Image,
    ImageStatus,
    ImageStorage,
    Leftover,
    PrimaryStorage,
    Record,
    Replica,
    Volume,
)
from catalog.repository.identities.reading import IdentityReading
from catalog.repository.reading.accounts import AccountReading
from catalog.repository.reading.families import FamilyReading
from catalog.repository.reading.figures import FigureReading
from catalog.repository.reading.hosts import HostReading
from catalog.repository.reading.image_filter import ImageFilter, query_of
from catalog.repository.reading.log import LogReading
from catalog.repository.reading.webhooks import WebhookReading
from catalog.rules.accounts.sharing import visible
from catalog.rules.promotion.history import goes_back_to, standing, why_not
from catalog.store import record_kinds
from catalog.store.lines.line import LineOrder
from catalog.store.listing import where
from catalog.store.protocol import Page, Query
from catalog.store.record_kinds import Place, RecordKind

R = TypeVar("R", bound=Record)
FEW = 8
"""Members of a family fetched at once to find its latest: mostly the first one is it."""
ARCHITECTURES = get_args(Architecture)


class Reading(AccountReading, FamilyReading, FigureReading, HostReading, IdentityReading, LogReading, WebhookReading):
    """Queries of the catalog. Listings are iterators that fetch pages; each page is one moment."""

    def image(self, image_id: str, account: str | None = None) -> Image:
        """Return an image. Raises ImageNotFound, also if the account may not see it. account: None sees everything."""
        viewer = self.viewer(account) if account is not None else None  # before the image: both cases take as long
        image = self._get(record_kinds.IMAGE, image_id)
        if image is None or (viewer is not None and not visible(image, viewer)):
            raise errors.ImageNotFound(image_id)
        return image

    def images(self, **wanted: Unpack[ImageFilter]) -> Iterator[Image]:
        """List the images that pass all filters, newest first; see `ImageFilter`.

        Raises InvalidRequest for an unknown status or a negative limit.
        """
        account = wanted.get("account")
        query = query_of(wanted, self.viewer(account) if account is not None else None)
        return self._limited(query, wanted.get("after"), wanted.get("limit"))

    def images_in_order(
        self,
        words: Sequence[str] = (),
        order: LineOrder = "created_at",
        *,
        down: bool = True,
        offset: int = 0,
        count: int = 50,
        **wanted: Unpack[ImageFilter],
    ) -> Sequence[Image]:
        """Return a page of the images whose searchable text contains each of the words, in an order.

        Images without a value come last; among equals the newest is first. The filters `limit`, `after` and the moments
        are ignored.
        """
        account = wanted.get("account")
        query = query_of(wanted, self.viewer(account) if account is not None else None)
        with self._reading() as transaction:
            ids = tuple(
                transaction.lines(replace(query, words=tuple(words)), order, down=down, offset=offset, limit=count)
            )
            these = Query(among={"id": ids})
            page = transaction.page(record_kinds.IMAGE, these, None, len(ids)) if ids else Page[Image]()
        found = {image.id: image for image in self._readable(page)}
        return [found[one] for one in ids if one in found]

    def _limited(self, query: Query, after: Image | Place | None, limit: int | None) -> Iterator[Image]:
        place = (after.created_at, after.id) if isinstance(after, Image) else after
        if limit is None or limit > self._page_size:
            yield from _first(self._all(record_kinds.IMAGE, query, place), limit)
            return
        with self._reading() as transaction:
            page = transaction.page(record_kinds.IMAGE, query, place, limit)
        yield from self._readable(page)

    def listed(self, kind: RecordKind[R], after: Place | None = None, **fields: str | None) -> Iterator[R]:
        """List records of a kind in its order, after a place, whose fields equal the given ones; None: any."""
        return self._all(kind, where(**fields), after)

    def bin(self, account: str | None = None) -> Iterator[Image]:
        """List the recycle bin, newest image first."""
        return self.images(status=ImageStatus.DELETED, account=account)

    def latest(self, family: str, cpu_architecture: str = "x86_64", *, account: str | None = None) -> Image:
        """Return the latest image of a family for an architecture: the promoted one, if any ever was.

        If that is no longer usable, it is the one promoted before. In a family without promotions it is the newest
        enabled, Ready, not deprecated image. A volume image fits every architecture. Raises ImageNotFound,
        InvalidRequest.
        """
        if cpu_architecture not in ARCHITECTURES:
            raise errors.InvalidRequest("cpu_architecture", cpu_architecture, f"one of {', '.join(ARCHITECTURES)}")
        channel = self.channel_for(family, cpu_architecture)
        found = self._newest(family, cpu_architecture, account) if channel is None else self._promoted(channel, account)
        if found is None:
            raise errors.ImageNotFound("latest", f"of family {family!r} for {cpu_architecture}")
        return found

    def _promoted(self, channel: Channel, account: str | None) -> Image | None:
        """Return the image of a channel, or the one promoted before if that is no longer usable."""

        def usable(image_id: str) -> bool:
            image = self._get(record_kinds.IMAGE, image_id)
            return image is not None and not why_not(image)

        found = channel.image_id
        if found is not None and not usable(found):
            found = goes_back_to(standing(self.promotions(channel.family, channel.cpu_architecture)), usable)
        image = self._get(record_kinds.IMAGE, found) if found is not None else None
        viewer = self.viewer(account) if account is not None else None
        return image if image is not None and (viewer is None or visible(image, viewer)) else None

    def _newest(self, family: str, cpu_architecture: str, account: str | None) -> Image | None:
        among: dict[str, tuple[str | int, ...]] = {
            "family": (family,),
            "status": ("Ready",),
            "state": ("Enabled",),
            "deprecated": (False,),
        }
        viewer = self.viewer(account) if account is not None else None
        query, after = Query(among=among, visible_to=viewer), None
        while page := tuple(self._limited(query, after, FEW)):
            for image in page:
                if image.cpu_architecture in (cpu_architecture, None):
                    return image
            after = page[-1]
        return None

    def replicas(self, image_id: str | None = None, *, image_storage: str | None = None) -> Iterator[Replica]:
        """List the replicas of an image, of a storage, or all."""
        return self._all(record_kinds.REPLICA, where(image_id=image_id, image_storage=image_storage))

    def replicas_of(self, image_ids: Sequence[str]) -> Iterator[Replica]:
        """List the replicas of several images with one query: those of a page, not thousands."""
        return self._all(record_kinds.REPLICA, Query(among={"image_id": tuple(image_ids)})) if image_ids else iter(())

    def replica(self, image_id: str, image_storage: str) -> Replica:
        """Return one replica. Raises ImageNotFound."""
        replica = self._get(record_kinds.REPLICA, image_id, image_storage)
        if replica is None:
            raise errors.ImageNotFound(image_id, f"on image storage {image_storage!r}")
        return replica

    def exports(self, image_id: str | None = None, *, image_storage: str | None = None) -> Iterator[ExportedImage]:
        """List exported images, newest first."""
        return self._all(record_kinds.EXPORT, where(image_id=image_id, image_storage=image_storage))

    def exported(self, export_id: str) -> ExportedImage:
        """Return one export. Raises ExportNotFound."""
        return self._need(record_kinds.EXPORT, export_id, errors.ExportNotFound)

    def leftovers(self, *, image_storage: str | None = None, image_id: str | None = None) -> Iterator[Leftover]:
        """List leftovers, newest first."""
        return self._all(record_kinds.LEFTOVER, where(image_storage=image_storage, image_id=image_id))

    def leftover(self, leftover_id: str) -> Leftover:
        """Return one leftover. Raises LeftoverNotFound."""
        return self._need(record_kinds.LEFTOVER, leftover_id, errors.LeftoverNotFound)

    def volumes(self, *, image_id: str | None = None, primary_storage: str | None = None) -> Iterator[Volume]:
        """List volumes, newest first."""
        return self._all(record_kinds.VOLUME, where(image_id=image_id, primary_storage=primary_storage))

    def volume(self, volume_id: str) -> Volume:
        """Return one volume. Raises VolumeNotFound."""
        return self._need(record_kinds.VOLUME, volume_id, errors.VolumeNotFound)

    def cached_images(
        self, *, primary_storage: str | None = None, image_id: str | None = None
    ) -> Iterator[CachedImage]:
        """List the image caches of primary storages."""
        return self._all(record_kinds.CACHED, where(primary_storage=primary_storage, image_id=image_id))

    def cached_image(self, image_id: str, primary_storage: str) -> CachedImage | None:
        """Return the cached copy of an image, None if it was not downloaded there yet."""
        return self._get(record_kinds.CACHED, image_id, primary_storage)

    def image_storages(self) -> Iterator[ImageStorage]:
        """List image storages by name."""
        return self._all(record_kinds.IMAGE_STORAGE)

    def image_storage(self, name: str) -> ImageStorage:
        """Return one image storage. Raises StorageNotFound."""
        storage = self._get(record_kinds.IMAGE_STORAGE, name)
        if storage is None:
            raise errors.StorageNotFound(name, [storage.name for storage in self.image_storages()])
        return storage

    def primary_storages(self) -> Iterator[PrimaryStorage]:
        """List primary storages by name."""
        return self._all(record_kinds.PRIMARY_STORAGE)

    def primary_storage(self, name: str) -> PrimaryStorage:
        """Return one primary storage. Raises PrimaryStorageNotFound."""
        storage = self._get(record_kinds.PRIMARY_STORAGE, name)
        if storage is None:
            raise errors.PrimaryStorageNotFound(name, [storage.name for storage in self.primary_storages()])
        return storage


def _first(images: Iterator[Image], limit: int | None) -> Iterator[Image]:
    for number, image in enumerate(images):
        if limit is not None and number >= limit:
            return
        yield image

"""Uploads: whose they are, the room promised to them, and those that are not for keeping."""

from contextlib import suppress
from typing import TYPE_CHECKING

from catalog.errors import StorageError, UploadNotFound
from catalog.records import Image, ImageStatus, ItemOutcome, ReclaimReport, UploadPlace
from catalog.records.hosts import in_bucket
from catalog.settings import Settings
from storage.uploads import url_of
from tasks.add.register import check_places
from tasks.add.reservation import subject_of
from tasks.runtime.resources import changing, known_image, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task
from tasks.runtime.uploads import CatalogBuckets, open_uploads

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change
    from storage.uploads import Upload, Uploads


@task(task_run_name="discard uploads", **retrying())
def sweep_uploads(*, plan_only: bool) -> ReclaimReport:
    """Discard what was not gone on with for IMAGEWRIGHT_UPLOAD_DAYS, and what a death left of images that are Ready."""
    with open_resources() as (settings, catalog):
        uploads = open_uploads(settings)
        expired = {upload.id for upload in uploads.expired()}
        gone = [u for u in uploads.all(everywhere=True) if u.id in expired or _is_ready(catalog, u)]
        items = [_outcome(uploads, upload, expired=upload.id in expired) for upload in gone]
        if not plan_only:
            uploads.remove_half_made()
            for upload in gone:
                with suppress(StorageError):  # the next sweep finds it again
                    uploads.discard(upload.id)
            _forget_places(catalog, settings, uploads)
            _release_room(catalog, settings, uploads)
    return ReclaimReport(image_storage="uploads", items=tuple(items), bytes_freed=sum(item.bytes for item in items))


def promise_room(draft: Image, size_bytes: int, bucket: str | None = None) -> None:
    """Set quota and room on its storages aside for an upload, until it is added or discarded, and say where its bytes lie.

    bucket: the image storage that takes them, None where a folder does.
    Raises StorageNotFound, InvalidRequest, QuotaExceeded, CapacityExceeded: what its add would fail with.
    """
    with open_resources() as (settings, catalog):
        check_places(catalog, draft)
        records = (catalog.image_storage(name) for name in draft.image_storages)
        available = {r.name: open_image_storage(r, settings).capacity().available_bytes for r in records}
        with changing(catalog, draft.owner) as change:
            change.reserve(
                subject=subject_of(draft.id),
                account=draft.owner,
                storages=tuple(available),
                size_bytes=size_bytes,
                available=available,
            )
            if bucket is not None:
                change.save_upload_place(UploadPlace(id=draft.id, host=in_bucket(bucket)))
            elif settings.catalog_is_shared and settings.uploads is None:
                change.save_upload_place(UploadPlace(id=draft.id, host=settings.host_name))


def discard_upload(uploads: "Uploads", upload_id: str) -> None:
    """Forget an upload and give back the room promised to it, unless an image was begun with it. Safe to repeat.

    Raises StorageUnavailable where it lies in a bucket that does not answer: it is there then, and keeps its room.
    """
    uploads.discard(upload_id)
    with open_resources() as (_, catalog), changing(catalog, "system") as change:
        _release_unless_added(change, upload_id)
        change.remove_upload_place(upload_id)


def _release_unless_added(change: "Change", image_id: str) -> None:
    if known_image(change, image_id) is None:
        change.release(subject_of(image_id))


def _forget_places(catalog: "Catalog", settings: Settings, uploads: "Uploads") -> None:
    """Forget that uploads were sent here, or into a bucket, which are there no more: their images are Ready, or they were discarded."""
    names = (settings.host_name, *map(in_bucket, CatalogBuckets(settings).names()))
    gone = [place.id for name in names for place in catalog.upload_places(name) if not _is_kept(uploads, place.id)]
    if gone:
        with changing(catalog, "system") as change:
            for upload_id in gone:
                change.remove_upload_place(upload_id)


def _release_room(catalog: "Catalog", settings: Settings, uploads: "Uploads") -> None:
    """Give back what was promised to uploads that are gone. Those that were sent to another host are not looked for here."""
    prefix = subject_of("")
    for reservation in tuple(catalog.reservations()):
        if reservation.subject.startswith(prefix):
            image_id = reservation.subject.removeprefix(prefix)
            here = catalog.upload_host(image_id) in (None, settings.host_name)
            if here and not _is_kept(uploads, image_id):
                with changing(catalog, "system") as change:
                    _release_unless_added(change, image_id)


def _is_kept(uploads: "Uploads", upload_id: str) -> bool:
    """Tell whether an upload is there; what a bucket that does not answer has is not known to be gone."""
    try:
        uploads.get(upload_id)
    except UploadNotFound:
        return False
    except StorageError:
        return True
    return True


def _is_ready(catalog: "Catalog", upload: "Upload") -> bool:
    """Tell whether the image that was made of an upload is there; one of the same id may be somebody else's."""
    image = known_image(catalog, upload.id)
    if image is None:
        return False
    own = image.source == url_of(upload.id) and upload.is_for(image.owner)
    return own and image.status is ImageStatus.READY


def _outcome(uploads: "Uploads", upload: "Upload", *, expired: bool) -> ItemOutcome:
    reason, size = "nobody went on with it" if expired else "its image is Ready", 0
    with suppress(UploadNotFound, StorageError):  # another host's sweep was first
        size = uploads.offset(upload.id)
    return ItemOutcome(subject=upload.id, outcome="done", bytes=size, reason=reason)

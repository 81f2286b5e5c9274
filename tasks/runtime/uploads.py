"""Uploads as tasks and the console open them: the home's, and those in the buckets of image storages that the catalog knows; and whose one is."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from catalog import open_catalog
from catalog.errors import InvalidRequest, StorageError, UploadNotFound
from catalog.records import Image, ImageStorage
from catalog.records.hosts import in_bucket
from catalog.rules.storages.sources import UPLOAD
from catalog.settings import Settings
from tasks.runtime.resources import open_bucket

if TYPE_CHECKING:
    from storage.uploads import Upload, UploadPlace, Uploads

KNOWN_S = 10.0
"""How long the catalog is not asked again for its buckets: whoever looks at a page wants to know of all uploads."""


def open_uploads(settings: Settings) -> "Uploads":
    """Open all uploads."""
    from storage.uploads import Uploads

    return Uploads(settings, CatalogBuckets(settings))


def check_upload(uploads: "Uploads", draft: Image) -> int:
    """Return the bytes of the upload that an image is to be made of, 0 where it comes from elsewhere.

    Raises StorageUnavailable where it lies in a bucket that does not answer now, UploadNotFound also for an upload of another
    account, InvalidRequest for one that is not whole, and for an id that the image of another account's upload will have.
    """
    _check_id(uploads, draft)
    if (upload_id := _sent_as(draft.source)) is None:
        return 0
    upload = _own(uploads, upload_id, draft.owner)
    if (sent := uploads.offset(upload.id)) != upload.length:
        allowed = f"a whole upload: {sent} of {upload.length} bytes were sent; go on with it on the console"
        raise InvalidRequest("image_path", draft.source, allowed)
    return upload.length


def _check_id(uploads: "Uploads", draft: Image) -> None:
    """Refuse the id that an upload's image will have, unless this is that image."""
    try:
        upload = uploads.get(draft.id)
    except UploadNotFound:
        return
    if not upload.is_for(draft.owner):
        raise InvalidRequest("image_id", draft.id, "an id of its own: this one is taken")


def discard_source(url: str, settings: Settings, account: str) -> None:
    """Delete the upload at a URL if it is this account's; those of others, and other schemes, are left alone.

    One in a bucket that does not answer now is left to the next sweep.
    """
    if (upload_id := _sent_as(url)) is not None:
        uploads = open_uploads(settings)
        with suppress(UploadNotFound, StorageError):
            uploads.discard(_own(uploads, upload_id, account).id)


def _sent_as(source: str) -> str | None:
    """Return the id of the upload that a source is, None for one that comes from elsewhere."""
    scheme, _, upload_id = source.partition("://")
    return upload_id if scheme == UPLOAD else None


def _own(uploads: "Uploads", upload_id: str, account: str) -> "Upload":
    """Return an account's upload. Raises UploadNotFound also for another's: it does not exist for it."""
    upload = uploads.get(upload_id)
    if not upload.is_for(account):
        raise UploadNotFound(upload_id)
    return upload


class CatalogBuckets:
    """The image storages in buckets, by the catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: dict[str, ImageStorage] = {}
        self._asked = float("-inf")

    def chosen(self, image_storages: Sequence[str]) -> str | None:
        """Return the first of them that is in a bucket; None where none is, or where a folder was set for all uploads."""
        if self._settings.uploads is not None:
            return None
        known = self._ask(anew=True)
        return next((name for name in image_storages if name in known), None)

    def of_upload(self, upload_id: str) -> str | None:
        """Return what the catalog says of where an upload was sent."""
        with open_catalog(self._settings.catalog_address) as catalog:
            return catalog.upload_bucket(upload_id)

    def names(self) -> Sequence[str]:
        """Return the names of all that are not disabled."""
        return tuple(name for name, record in self._ask().items() if record.state != "Disabled")

    def with_uploads(self) -> Sequence[str]:
        """Return those that the catalog knows uploads in."""
        names = self.names()
        with open_catalog(self._settings.catalog_address) as catalog:
            return tuple(name for name in names if next(catalog.upload_places(in_bucket(name)), None))

    def place(self, name: str) -> "UploadPlace":
        """Open one. Raises StorageNotFound, StorageRefused, StorageUnavailable, InvalidRequest for one that is no bucket."""
        from storage.uploads.bucket import UploadBucket

        record = self._ask().get(name)
        if record is None:
            with open_catalog(self._settings.catalog_address) as catalog:
                record = catalog.image_storage(name)
        return UploadBucket(open_bucket(record, self._settings))

    def _ask(self, *, anew: bool = False) -> dict[str, ImageStorage]:
        from storage.registry import is_bucket

        if anew or time.monotonic() - self._asked > KNOWN_S:
            with open_catalog(self._settings.catalog_address) as catalog:
                self._records = {record.name: record for record in catalog.image_storages() if is_bucket(record)}
            self._asked = time.monotonic()
        return self._records

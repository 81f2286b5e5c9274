"""All uploads, wherever their bytes lie. An upload's id is also the id of the image made from it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from catalog.errors import (
    InvalidRequest,
    NotFound,
    StorageError,
    UploadNotFound,
)
from catalog.files import locked
from catalog.privacy import make_folder
from catalog.settings import Settings
from storage.uploads.folder import UploadFolder
from storage.uploads.limits import check_number, check_room
from storage.uploads.listing import BucketListing
from storage.uploads.protocol import Buckets, Turn, UploadPlace
from storage.uploads.upload import ID, Upload

MOST_KNOWN = 4096
_ONE_AT_A_TIME: defaultdict[str, Lock] = defaultdict(Lock)
"""By bucket. Held while an upload begins there, so that two here don't rely on one count; others are counted later."""


class Uploads:
    """All uploads of a home and of the given buckets; without buckets, those of the home."""

    def __init__(self, settings: Settings, buckets: Buckets | None = None) -> None:
        self._path, self._folder = settings.uploads_folder, UploadFolder(settings.uploads_folder)
        self._buckets = buckets
        self._listing = BucketListing(buckets, self._path) if buckets else None
        self._idle = timedelta(seconds=settings.upload_idle_s)
        self._kept = timedelta(days=settings.upload_days)
        self._each = settings.uploads_unfinished
        self._known: dict[str, str] = {}

    def create(self, upload: Upload, image_storages: Sequence[str] = ()) -> None:
        """Begin an upload. image_storages: the targets of its image.

        Raises InvalidRequest if it is empty, its folder lacks room for it, or too many are unfinished. Room promised to
        others and not filled yet is not free.
        """
        if not upload.length:
            raise InvalidRequest("file", "0 bytes", "a file that is not empty")
        bucket = self._buckets.chosen(image_storages) if self._buckets else None
        if bucket is not None:
            self._begin_in(bucket, upload)
            return
        elsewhere = self._unfinished_in_buckets()
        make_folder(self._path)
        with locked(self._path):  # so that two don't count on the same room
            here = tuple(self._unfinished_here())
            check_number(upload, [*elsewhere, *(one for one, _ in here)], self._each)
            check_room(upload, self._path, sum(lacking for _, lacking in here))
            self._folder.begin(upload)

    def correct(self, upload: Upload) -> None:
        """Correct the announcement of a kept upload; its bytes stay. Raises UploadNotFound."""
        self._place(upload.id).correct(upload)

    def get(self, upload_id: str) -> Upload:
        """Return the announcement. Raises UploadNotFound, StorageUnavailable."""
        return self._place(upload_id).get(upload_id)

    def bucket_of(self, upload_id: str) -> str | None:
        """Return the image storage whose bucket has an upload, None for one in the folder.

        Raises UploadNotFound for an invalid id.
        """
        if not ID.match(upload_id):
            raise UploadNotFound(upload_id)
        if self._buckets is None or self._folder.data(upload_id).exists():
            return None
        name = self._known.get(upload_id) or self._buckets.of_upload(upload_id)
        if name is not None:
            self._know(upload_id, name)
        return name

    def data(self, upload_id: str) -> Path:
        """Return the path of the bytes of an upload in the folder. Raises UploadNotFound for an invalid id."""
        return self._folder.data(upload_id)

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the kept bytes of `[start, end)`, some MiB at once. Raises UploadNotFound, StorageUnavailable."""
        return self._place(upload_id).blocks(upload_id, start, end)

    def read(self, upload_id: str, start: int, end: int) -> bytes:
        """Return the kept bytes of `[start, end)`. Raises UploadNotFound, StorageUnavailable."""
        return b"".join(self.blocks(upload_id, start, end))

    def appending(self, upload_id: str) -> AbstractContextManager[Turn]:
        """Take the turn at an upload, durable at its end. Raises UploadNotFound; UploadBusy if another has it."""
        return self._place(upload_id).appending(upload_id)

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Record why the bytes are not what was announced. Raises UploadNotFound."""
        self._place(upload_id).refuse(upload_id, sentence)

    def refusal(self, upload_id: str) -> str:
        """Return why no more bytes are accepted, "" if they are. Raises UploadNotFound for an invalid id."""
        return self._place(upload_id).refusal(upload_id)

    def begin_run(self, upload_id: str, run: str) -> None:
        """Record a run that was asked to add it. Raises UploadNotFound."""
        self._place(upload_id).begin_run(upload_id, run)

    def runs(self, upload_id: str) -> Sequence[str]:
        """Return the runs that were asked to add it, oldest first. Raises UploadNotFound for an invalid id."""
        return self._place(upload_id).runs(upload_id)

    def offset(self, upload_id: str) -> int:
        """Return the number of kept bytes. Raises UploadNotFound."""
        return self._place(upload_id).offset(upload_id)

    def expires_at(self, upload_id: str) -> datetime:
        """Return when it is discarded unless more bytes arrive. Raises UploadNotFound."""
        return self._place(upload_id).touched(upload_id) + self._kept

    def is_idle(self, upload_id: str) -> bool:
        """Tell whether it counts as suspended, since nothing arrived for long. Raises UploadNotFound."""
        place = self._place(upload_id)
        return place.now() - place.touched(upload_id) > self._idle

    def all(self, *, everywhere: bool = False) -> Iterator[Upload]:
        """Yield all uploads, oldest first; those in silent buckets, and those that vanish, are left out.

        everywhere: also search buckets for uploads that only a death left there, known nowhere else.
        """
        names = self._bucket_names() if everywhere else self._buckets.with_uploads() if self._buckets else ()
        yield from self._in(names)

    def _in(self, buckets: Iterable[str]) -> Iterator[Upload]:
        found = [*self._folder.all(), *(one for name in buckets for one in self._listed(name))]
        yield from sorted(found, key=lambda upload: upload.created_at)

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat. Raises StorageUnavailable."""
        with suppress(UploadNotFound):
            self._place(upload_id).discard(upload_id)
        self._known.pop(upload_id, None)

    def expired(self) -> tuple[Upload, ...]:
        """Return the uploads that were not continued for too long."""
        return tuple(upload for upload in self.all(everywhere=True) if self._is_expired(upload.id))

    def remove_half_made(self) -> None:
        """Remove leftovers of interrupted creations and discards."""
        if self._path.is_dir():
            self._folder.remove_half_made(self._folder.now() - self._idle)
        for name in self._bucket_names():
            with suppress(StorageError):  # retried next time
                place = self._open(name)
                place.remove_half_made(place.now() - self._idle)

    def _is_expired(self, upload_id: str) -> bool:
        try:
            place = self._place(upload_id)
            return place.touched(upload_id) + self._kept < place.now()
        except (UploadNotFound, StorageError):
            return False

    def _place(self, upload_id: str) -> UploadPlace:
        """Return an upload's place. Raises UploadNotFound for an invalid id or a removed bucket, StorageError."""
        name = self.bucket_of(upload_id)
        try:
            return self._folder if name is None else self._open(name)
        except NotFound as error:
            raise UploadNotFound(upload_id) from error

    def _open(self, bucket: str) -> UploadPlace:
        assert self._listing is not None, "a bucket is only known through them"
        return self._listing.open(bucket)

    def _begin_in(self, bucket: str, upload: Upload) -> None:
        """Begin an upload in a bucket. Other hosts begin theirs meanwhile, so it is removed if it exceeds the limit."""
        with _ONE_AT_A_TIME[bucket]:
            check_number(upload, self._unfinished_but(upload, bucket), self._each)
            self._open(bucket).begin(upload)
            self._know(upload.id, bucket)
            try:
                check_number(upload, self._unfinished_but(upload, bucket), self._each)
            except InvalidRequest:
                self.discard(upload.id)
                raise

    def _know(self, upload_id: str, bucket: str) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[upload_id] = bucket

    def _bucket_names(self) -> Sequence[str]:
        return self._buckets.names() if self._buckets else ()

    def _listed(self, bucket: str) -> Sequence[Upload]:
        found = self._listing.uploads(bucket) if self._listing else ()
        for upload in found:
            self._know(upload.id, bucket)
        return found

    def _unfinished_but(self, upload: Upload, bucket: str) -> list[Upload]:
        """List all unfinished uploads except one. bucket: must answer. Raises StorageUnavailable."""
        here = (one for one, _ in self._unfinished_here())
        return [one for one in (*here, *self._unfinished_in_buckets(bucket)) if one.id != upload.id]

    def _unfinished_here(self) -> Iterator[tuple[Upload, int]]:
        """Yield the unfinished uploads in the folder, with the number of missing bytes."""
        for upload in self._folder.all():
            with suppress(UploadNotFound):
                if lacking := upload.length - self._folder.offset(upload.id):
                    yield upload, lacking

    def _unfinished_in_buckets(self, bucket: str | None = None) -> Sequence[Upload]:
        """List the unfinished uploads in buckets. bucket: must answer; others are left out if they don't."""
        if self._buckets is None or self._listing is None:
            return ()
        found = list(self._listing.unfinished(bucket)) if bucket else []
        for name in self._buckets.with_uploads():
            if name != bucket:
                with suppress(StorageError):
                    found += self._listing.unfinished(name)
        return found

"""All uploads, wherever their bytes lie. An upload's id is also the id of the image that is made of it."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from catalog.errors import (
    ImagewrightError,
    InvalidRequest,
    NotFound,
    StorageError,
    StorageRefused,
    StorageUnavailable,
    UploadNotFound,
)
from catalog.files import locked
from catalog.privacy import make_folder
from catalog.settings import Settings
from storage.uploads.folder import UploadFolder
from storage.uploads.limits import check_number, check_room
from storage.uploads.protocol import Buckets, Turn, UploadPlace
from storage.uploads.upload import ID, Upload

LOG = logging.getLogger(__name__)
MOST_KNOWN = 4096
LISTED_WITHIN_S, LEFT_OUT_S = 3.0, 20.0
"""How long a bucket is waited for that lists its uploads, and how long one that did not is left out: pages wait for it."""
_LISTERS = ThreadPoolExecutor(16, thread_name_prefix="uploads")
_LEFT_OUT: dict[tuple[Path, str], float] = {}


class Uploads:
    """All uploads of a home and of the buckets that it is given; without buckets, of the home."""

    def __init__(self, settings: Settings, buckets: Buckets | None = None) -> None:
        self._path, self._folder, self._buckets = (
            settings.uploads_folder,
            UploadFolder(settings.uploads_folder),
            buckets,
        )
        self._idle = timedelta(seconds=settings.upload_idle_s)
        self._kept = timedelta(days=settings.upload_days)
        self._each = settings.uploads_unfinished
        self._known: dict[str, str] = {}

    def create(self, upload: Upload, image_storages: Sequence[str] = ()) -> None:
        """Begin an upload. image_storages: that its image goes to.

        Raises InvalidRequest where it is empty, its folder lacks room for it, or too many are unfinished. Room that was promised
        to others and is not filled yet is not free.
        """
        if not upload.length:
            raise InvalidRequest("file", "0 bytes", "a file that is not empty")
        bucket = self._buckets.chosen(image_storages) if self._buckets else None
        make_folder(self._path)
        with locked(self._path):  # so that two don't count on the same room
            unfinished = tuple(self._unfinished(bucket))
            check_number(upload, [one for one, _ in unfinished], self._each)
            if bucket is None:
                promised = sum(lacking for one, lacking in unfinished if self._folder.data(one.id).exists())
                check_room(upload, self._path, promised)
                self._folder.begin(upload)
            else:
                self._begin_in(bucket, upload)

    def correct(self, upload: Upload) -> None:
        """Announce a kept upload otherwise: its bytes stay. Raises UploadNotFound."""
        self._place(upload.id).correct(upload)

    def get(self, upload_id: str) -> Upload:
        """Return what was announced. Raises UploadNotFound, StorageUnavailable."""
        return self._place(upload_id).get(upload_id)

    def bucket_of(self, upload_id: str) -> str | None:
        """Return the image storage whose bucket has an upload, None for one in the folder. Raises UploadNotFound for what is no id."""
        if not ID.match(upload_id):
            raise UploadNotFound(upload_id)
        if self._buckets is None or self._folder.data(upload_id).exists():
            return None
        name = self._known.get(upload_id) or self._buckets.of_upload(upload_id)
        if name is not None:
            self._know(upload_id, name)
        return name

    def data(self, upload_id: str) -> Path:
        """Return where the bytes of one in the folder lie. Raises UploadNotFound for what is no id."""
        return self._folder.data(upload_id)

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield bytes `[start, end)` as far as they are kept, some MiB at once. Raises UploadNotFound, StorageUnavailable."""
        return self._place(upload_id).blocks(upload_id, start, end)

    def read(self, upload_id: str, start: int, end: int) -> bytes:
        """Return bytes `[start, end)` as far as they are kept. Raises UploadNotFound, StorageUnavailable."""
        return b"".join(self.blocks(upload_id, start, end))

    def appending(self, upload_id: str) -> AbstractContextManager[Turn]:
        """Take the turn at an upload, durable at its end. Raises UploadNotFound, UploadBusy if somebody else is at it."""
        return self._place(upload_id).appending(upload_id)

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Remember why what was sent is not what was announced. Raises UploadNotFound."""
        self._place(upload_id).refuse(upload_id, sentence)

    def refusal(self, upload_id: str) -> str:
        """Return why no more of it is taken, empty where nothing is wrong. Raises UploadNotFound for what is no id."""
        return self._place(upload_id).refusal(upload_id)

    def begin_run(self, upload_id: str, run: str) -> None:
        """Remember a run that was asked to add it. Raises UploadNotFound."""
        self._place(upload_id).begin_run(upload_id, run)

    def runs(self, upload_id: str) -> Sequence[str]:
        """Return the runs that were asked to add it, oldest first. Raises UploadNotFound for what is no id."""
        return self._place(upload_id).runs(upload_id)

    def offset(self, upload_id: str) -> int:
        """Return how many bytes are kept. Raises UploadNotFound."""
        return self._place(upload_id).offset(upload_id)

    def expires_at(self, upload_id: str) -> datetime:
        """Return when it is discarded unless more comes. Raises UploadNotFound."""
        return self._place(upload_id).touched(upload_id) + self._kept

    def is_idle(self, upload_id: str) -> bool:
        """Tell whether nothing came for so long that it counts as suspended. Raises UploadNotFound."""
        place = self._place(upload_id)
        return place.now() - place.touched(upload_id) > self._idle

    def all(self, *, everywhere: bool = False) -> Iterator[Upload]:
        """Yield all uploads, oldest first; those of a bucket that does not answer now, and what vanishes, are left out.

        everywhere: also where a death left one that nothing else knows of.
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
        """Return the uploads that nobody went on with for too long."""
        return tuple(upload for upload in self.all(everywhere=True) if self._is_expired(upload.id))

    def remove_half_made(self) -> None:
        """Remove what a death left of creations and discards."""
        if self._path.is_dir():
            self._folder.remove_half_made(self._folder.now() - self._idle)
        for name in self._bucket_names():
            with suppress(StorageError):  # another time
                place = self._open(name)
                place.remove_half_made(place.now() - self._idle)

    def _is_expired(self, upload_id: str) -> bool:
        try:
            place = self._place(upload_id)
            return place.touched(upload_id) + self._kept < place.now()
        except (UploadNotFound, StorageError):
            return False

    def _place(self, upload_id: str) -> UploadPlace:
        """Return where an upload is. Raises UploadNotFound for what is no id or in a bucket that is no more, StorageError."""
        name = self.bucket_of(upload_id)
        try:
            return self._folder if name is None else self._open(name)
        except NotFound as error:
            raise UploadNotFound(upload_id) from error

    def _open(self, bucket: str) -> UploadPlace:
        assert self._buckets is not None, "a bucket is only known through them"
        if time.monotonic() < _LEFT_OUT.get((self._path, bucket), 0):
            raise StorageUnavailable(bucket, "it did not answer just now")
        return self._buckets.place(bucket)

    def _begin_in(self, bucket: str, upload: Upload) -> None:
        """Begin an upload in a bucket. Other hosts begin theirs without this host's lock: what is one too many then goes."""
        self._open(bucket).begin(upload)
        self._know(upload.id, bucket)
        try:
            others = [one for one, _ in self._unfinished(bucket) if one.id != upload.id]
            check_number(upload, others, self._each)
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
        """List what is in a bucket, nothing where it does not answer soon: whoever looks at a page waits for it."""
        try:
            found = _LISTERS.submit(lambda: tuple(self._open(bucket).all())).result(LISTED_WITHIN_S)
        except (ImagewrightError, TimeoutError) as error:
            LOG.info("uploads in the bucket of %s are not listed now: %s", bucket, error)
            if not isinstance(error, StorageRefused):
                _LEFT_OUT[self._path, bucket] = max(
                    _LEFT_OUT.get((self._path, bucket), 0), time.monotonic() + LEFT_OUT_S
                )
            return ()
        for upload in found:
            self._know(upload.id, bucket)
        return found

    def _unfinished(self, bucket: str | None) -> Iterator[tuple[Upload, int]]:
        """Yield what still comes, with the bytes that are lacking. bucket: to be looked at, whatever is known of it."""
        known = self._buckets.with_uploads() if self._buckets else ()
        for upload in self._in({*known, *((bucket,) if bucket else ())}):
            with suppress(UploadNotFound, StorageError):
                if lacking := upload.length - self.offset(upload.id):
                    yield upload, lacking

"""What buckets have of uploads, for whoever can't wait for one that does not answer."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from catalog.errors import ImagewrightError, StorageUnavailable, UploadNotFound
from storage.uploads.protocol import Buckets, UploadPlace
from storage.uploads.upload import Upload

LOG = logging.getLogger(__name__)
LISTED_WITHIN_S, COUNTED_WITHIN_S, LEFT_OUT_S = 3.0, 10.0, 20.0
"""How long a bucket is waited for that lists its uploads, or counts them, and how long one that did not is left out."""
_LEFT_OUT: dict[tuple[Path, str], float] = {}


class BucketListing:
    """The buckets of a home, by their names. home: where its other uploads lie, which tells it from other homes."""

    def __init__(self, buckets: Buckets, home: Path) -> None:
        self._buckets, self._home = buckets, home

    def open(self, bucket: str) -> UploadPlace:
        """Open a bucket. Raises StorageUnavailable at once where it did not answer just now, and as `Buckets.place`."""
        if time.monotonic() < _LEFT_OUT.get((self._home, bucket), 0):
            raise StorageUnavailable(bucket, "it did not answer just now")
        return self._buckets.place(bucket)

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """List what is in a bucket, nothing where it does not answer soon: whoever looks at a page waits for it."""
        try:
            return self._asked(bucket, LISTED_WITHIN_S, lambda place: tuple(place.all()))
        except ImagewrightError as error:
            LOG.info("uploads in the bucket of %s are not listed now: %s", bucket, error)
            return ()

    def unfinished(self, bucket: str) -> Sequence[Upload]:
        """List what still comes. Raises StorageUnavailable, StorageRefused."""
        return self._asked(bucket, COUNTED_WITHIN_S, _unfinished)

    def _asked(
        self, bucket: str, limit_s: float, ask: Callable[[UploadPlace], tuple[Upload, ...]]
    ) -> tuple[Upload, ...]:
        try:
            return _within(limit_s, lambda: ask(self.open(bucket)))
        except TimeoutError as error:
            self._leave_out(bucket)
            raise StorageUnavailable(bucket, f"it did not list its uploads within {limit_s:g} s") from error
        except StorageUnavailable:
            self._leave_out(bucket)
            raise

    def _leave_out(self, bucket: str) -> None:
        now, key = time.monotonic(), (self._home, bucket)
        if _LEFT_OUT.get(key, 0) <= now:
            _LEFT_OUT[key] = now + LEFT_OUT_S


def _unfinished(place: UploadPlace) -> tuple[Upload, ...]:
    return tuple(upload for upload in place.all() if _lacks(place, upload))


def _lacks(place: UploadPlace, upload: Upload) -> bool:
    try:
        return place.offset(upload.id) < upload.length
    except UploadNotFound:  # it vanished meanwhile
        return False


def _within(limit_s: float, call: Callable[[], tuple[Upload, ...]]) -> tuple[Upload, ...]:
    """Return what a call returns that ends in time. Raises what it raises, or TimeoutError.

    The thread is one that a process does not wait for when it ends; a pool's would keep it until the last connection is given up.
    """
    told: Future[tuple[Upload, ...]] = Future()

    def ask() -> None:
        try:
            told.set_result(call())
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            told.set_exception(error)

    Thread(target=ask, name="uploads", daemon=True).start()
    return told.result(limit_s)

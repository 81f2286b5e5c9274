"""Listings of uploads in buckets, with a time limit for buckets that do not answer."""

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
"""How long to wait for a bucket to list or count its uploads, and how long a silent one is then left out."""
_LEFT_OUT: dict[tuple[Path, str], float] = {}


class BucketListing:
    """The buckets of a home, by name. home: the folder of its other uploads, which identifies it."""

    def __init__(self, buckets: Buckets, home: Path) -> None:
        self._buckets, self._home = buckets, home

    def open(self, bucket: str) -> UploadPlace:
        """Open a bucket. Raises StorageUnavailable at once if it recently did not answer, and as `Buckets.place`."""
        if time.monotonic() < _LEFT_OUT.get((self._home, bucket), 0):
            raise StorageUnavailable(bucket, "it did not answer just now")
        return self._buckets.place(bucket)

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """List a bucket's uploads, or none if it does not answer soon: a page waits for the result."""
        try:
            return self._asked(bucket, LISTED_WITHIN_S, lambda place: tuple(place.all()))
        except ImagewrightError as error:
            LOG.info("uploads in the bucket of %s are not listed now: %s", bucket, error)
            return ()

    def unfinished(self, bucket: str) -> Sequence[Upload]:
        """List the unfinished uploads. Raises StorageUnavailable, StorageRefused."""
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
    """Return the result of a call if it ends in time. Raises its errors, or TimeoutError.

    The process does not wait for this thread when it ends; a pool's would keep it until the last connection is given
    up.
    """
    told: Future[tuple[Upload, ...]] = Future()

    def ask() -> None:
        try:
            told.set_result(call())
        except Exception as error:  # noqa: BLE001  # the waiting thread raises it
            told.set_exception(error)

    Thread(target=ask, name="uploads", daemon=True).start()
    return told.result(limit_s)

"""The protocol of a place of uploads, independent of its storage."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from storage.uploads.upload import Upload


class Turn(Protocol):
    """One sender's turn at an upload. piece_bytes: the preferred and largest size of a write."""

    piece_bytes: int

    @property
    def offset(self) -> int:
        """The number of kept bytes."""
        ...

    def write(self, data: bytes | bytearray) -> None:
        """Store the next bytes, completely or up to the new `offset`.

        Raises UploadBusy if another sender sent these meanwhile, OSError of a disk, StorageError.
        """
        ...


class UploadPlace(Protocol):
    """A place that keeps uploads until their image is Ready. Absent uploads raise UploadNotFound.

    Raises StorageUnavailable if a remote storage does not answer.
    """

    def begin(self, upload: Upload) -> None:
        """Store the announcement; the upload's bytes may follow."""
        ...

    def correct(self, upload: Upload) -> None:
        """Correct the announcement of a kept upload: its bytes stay, a refusal is dropped."""
        ...

    def get(self, upload_id: str) -> Upload:
        """Return the announcement."""
        ...

    def all(self) -> Iterator[Upload]:
        """Yield all uploads in any order; those that vanish meanwhile are left out."""
        ...

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the kept bytes of `[start, end)`, some MiB at once."""
        ...

    def appending(self, upload_id: str) -> AbstractContextManager[Turn]:
        """Take the turn at an upload; writes are durable at its end. Raises UploadBusy if another sender has it."""
        ...

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Record why the bytes are not what was announced."""
        ...

    def refusal(self, upload_id: str) -> str:
        """Return why no more bytes are accepted, "" if they are or the upload is absent."""
        ...

    def begin_run(self, upload_id: str, run: str) -> None:
        """Record a run that was asked to add it."""
        ...

    def runs(self, upload_id: str) -> Sequence[str]:
        """Return the runs that were asked to add it, oldest first; none if the upload is absent."""
        ...

    def offset(self, upload_id: str) -> int:
        """Return the number of kept bytes."""
        ...

    def touched(self, upload_id: str) -> datetime:
        """Return when its last bytes arrived, by the clock of `now`."""
        ...

    def now(self) -> datetime:
        """Return the time."""
        ...

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat."""
        ...

    def remove_half_made(self, older_than: datetime) -> None:
        """Remove leftovers of creations and discards interrupted before a moment."""
        ...


class Buckets(Protocol):
    """The image storages in buckets that can take uploads, by name."""

    def chosen(self, image_storages: Sequence[str]) -> str | None:
        """Return the bucket for an upload to these image storages, None if it goes to the folder."""
        ...

    def of_upload(self, upload_id: str) -> str | None:
        """Return the bucket that an upload was sent to, None if none is known to have it."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all buckets."""
        ...

    def with_uploads(self) -> Sequence[str]:
        """Return the names of buckets known to have uploads: only these are queried for a page."""
        ...

    def place(self, name: str) -> UploadPlace:
        """Open a bucket. Raises StorageNotFound, StorageRefused, StorageUnavailable."""
        ...

"""What a place of uploads promises, whatever keeps their bytes."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from storage.uploads.upload import Upload


class Turn(Protocol):
    """One sender's turn at an upload. piece_bytes: what is worth a write, and the most that one should bring."""

    piece_bytes: int

    @property
    def offset(self) -> int:
        """How many bytes are kept."""
        ...

    def write(self, data: bytes | bytearray) -> None:
        """Keep the next bytes, whole or as far as `offset` says then.

        Raises UploadBusy if somebody else sent these meanwhile, OSError of a disk, StorageError.
        """
        ...


class UploadPlace(Protocol):
    """Where uploads are kept until their image is Ready. An upload that is not there raises UploadNotFound.

    What can't be told because a remote storage does not answer raises StorageUnavailable.
    """

    def begin(self, upload: Upload) -> None:
        """Keep what was announced; from now on its bytes may come."""
        ...

    def correct(self, upload: Upload) -> None:
        """Announce a kept upload otherwise: its bytes stay, why they were refused is forgotten."""
        ...

    def get(self, upload_id: str) -> Upload:
        """Return what was announced."""
        ...

    def all(self) -> Iterator[Upload]:
        """Yield all uploads in any order; what vanishes meanwhile is left out."""
        ...

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield bytes `[start, end)` as far as they are kept, some MiB at once."""
        ...

    def appending(self, upload_id: str) -> AbstractContextManager[Turn]:
        """Take the turn at an upload; all that was written is durable at its end. Raises UploadBusy if somebody else has it."""
        ...

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Remember why what was sent is not what was announced."""
        ...

    def refusal(self, upload_id: str) -> str:
        """Return why no more of it is taken, empty where nothing is wrong or nothing is there."""
        ...

    def begin_run(self, upload_id: str, run: str) -> None:
        """Remember a run that was asked to add it."""
        ...

    def runs(self, upload_id: str) -> Sequence[str]:
        """Return the runs that were asked to add it, oldest first; none where nothing is there."""
        ...

    def offset(self, upload_id: str) -> int:
        """Return how many bytes are kept."""
        ...

    def touched(self, upload_id: str) -> datetime:
        """Return when the last of its bytes came, by the clock of `now`."""
        ...

    def now(self) -> datetime:
        """Return the moment."""
        ...

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat."""
        ...

    def remove_half_made(self, older_than: datetime) -> None:
        """Remove what a death left of creations and discards before a moment."""
        ...


class Buckets(Protocol):
    """The image storages in buckets that uploads may go to, by their names."""

    def chosen(self, image_storages: Sequence[str]) -> str | None:
        """Return the bucket that an upload for these image storages goes to, None where it goes to the folder."""
        ...

    def of_upload(self, upload_id: str) -> str | None:
        """Return the bucket that an upload was sent to, None where none is known to have it."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all of them."""
        ...

    def with_uploads(self) -> Sequence[str]:
        """Return the names of those that are known to have uploads: no others are asked whenever somebody looks at a page."""
        ...

    def place(self, name: str) -> UploadPlace:
        """Open one. Raises StorageNotFound, StorageRefused, StorageUnavailable."""
        ...

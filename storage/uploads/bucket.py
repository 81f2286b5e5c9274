"""Uploads in the bucket of an image storage: every host can receive, resume and add them.

| object | content |
|---|---|
| `uploads/announced/<id>` | the announcement, as JSON: an upload exists as long as it does |
| `uploads/pieces/<id>/<offset>` | the bytes, see `pieces.py` |
| `uploads/refused/<id>` | why its first bytes are not what was announced |
| `uploads/started/<id>/<number>` | the runs that were asked to add it, each made once |

Announcements are apart from the pieces, so that a listing of all uploads costs a page and not one for each 8 GB.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count, groupby
from threading import Lock

from catalog.errors import ObjectMissing, UploadBusy, UploadNotFound
from catalog.units import utc_now
from storage.protocols import ObjectInfo
from storage.uploads import pieces
from storage.uploads.pieces import Objects, Pieces, PiecesTurn
from storage.uploads.upload import ID, Upload

ROOT = "uploads/"
ANNOUNCED, REFUSED, STARTED = f"{ROOT}announced/", f"{ROOT}refused/", f"{ROOT}started/"
FOLDERS = (pieces.FOLDER, REFUSED, STARTED)
_AT_IT: set[tuple[str, str]] = set()
_LOCK = Lock()


class UploadBucket:
    """All uploads in a bucket. now: the time; the servers' clocks differ by less than signatures allow: 15 minutes."""

    def __init__(self, objects: Objects, now: Callable[[], datetime] = utc_now) -> None:
        self._objects, self.now = objects, now

    def begin(self, upload: Upload) -> None:
        """Store the announcement."""
        self._objects.put(_announced(upload.id), upload.model_dump_json().encode())

    def correct(self, upload: Upload) -> None:
        """Correct the announcement of a kept upload; its bytes stay. Raises UploadNotFound."""
        self.get(upload.id)
        self.begin(upload)
        self._objects.delete_each([f"{REFUSED}{upload.id}"])

    def get(self, upload_id: str) -> Upload:
        """Return the announcement. Raises UploadNotFound."""
        try:
            return Upload.model_validate_json(self._objects.get(_announced(upload_id)))
        except ObjectMissing as error:
            raise UploadNotFound(upload_id) from error

    def all(self) -> Iterator[Upload]:
        """Yield all uploads; those that vanish meanwhile are left out."""
        for info in self._objects.list(ANNOUNCED):
            with suppress(UploadNotFound):
                yield self.get(info.name.removeprefix(ANNOUNCED))

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the kept bytes of `[start, end)`, some MiB at once. Raises UploadNotFound."""
        self._require(upload_id)
        try:
            yield from self._pieces(upload_id).blocks(start, end)
        except ObjectMissing as error:
            raise UploadNotFound(upload_id) from error

    @contextmanager
    def appending(self, upload_id: str) -> Iterator[PiecesTurn]:
        """Write pieces after the kept ones. Raises UploadNotFound, UploadBusy if another sender has the turn here.

        A sender on another host is detected when both write.
        """
        upload, key = self.get(upload_id), (self._objects.location, upload_id)
        with _LOCK:
            if key in _AT_IT:
                raise UploadBusy(upload_id)
            _AT_IT.add(key)
        try:
            yield PiecesTurn(self._pieces(upload_id), upload)
        finally:
            with _LOCK:
                _AT_IT.discard(key)

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Record why the bytes are not what was announced. Raises UploadNotFound."""
        self._require(upload_id)
        self._objects.put(f"{REFUSED}{upload_id}", sentence.encode())

    def refusal(self, upload_id: str) -> str:
        """Return why no more bytes are accepted, "" if they are. Raises UploadNotFound for an invalid id."""
        try:
            return self._objects.get(f"{REFUSED}{_checked(upload_id)}").decode()
        except ObjectMissing:
            return ""

    def begin_run(self, upload_id: str, run: str) -> None:
        """Record a run that was asked to add it. Raises UploadNotFound."""
        self._require(upload_id)
        runs = self.runs(upload_id)
        if run in runs:
            return
        for number in count(len(runs)):
            if self._objects.create(f"{STARTED}{upload_id}/{number:04}", run.encode()):
                return

    def runs(self, upload_id: str) -> Sequence[str]:
        """Return the runs that were asked to add it, oldest first. Raises UploadNotFound for an invalid id."""
        names = [info.name for info in self._objects.list(f"{STARTED}{_checked(upload_id)}/")]
        try:
            return tuple(run.decode() for run in self._objects.get_each(names)) if names else ()
        except ObjectMissing:
            return ()

    def offset(self, upload_id: str) -> int:
        """Return the number of kept bytes. Raises UploadNotFound."""
        self._require(upload_id)
        return self._pieces(upload_id).end().offset

    def touched(self, upload_id: str) -> datetime:
        """Return when its last bytes arrived. Raises UploadNotFound."""
        return self._pieces(upload_id).end().touched or self.get(upload_id).created_at

    def discard(self, upload_id: str) -> None:
        """Delete an upload, its announcement first. Safe to repeat."""
        self._objects.delete_each([_announced(upload_id)])
        names = [f"{REFUSED}{upload_id}"]
        names += [i.name for folder in (STARTED, pieces.FOLDER) for i in self._objects.list(f"{folder}{upload_id}/")]
        self._objects.delete_each(names)
        self._pieces(upload_id).forget()

    def remove_half_made(self, older_than: datetime) -> None:
        """Remove leftovers of discards interrupted before a moment, and pieces that arrived after them."""
        for folder in FOLDERS:
            for upload_id, found in groupby(self._objects.list(folder), lambda info: _id_in(info, folder)):  # noqa: B023
                last = max((info.modified_at for info in found if info.modified_at), default=None)
                if ID.match(upload_id) and last and last < older_than and not self._is_there(upload_id):
                    self.discard(upload_id)

    def _is_there(self, upload_id: str) -> bool:
        return self._objects.size(_announced(upload_id)) is not None

    def _require(self, upload_id: str) -> None:
        if not self._is_there(upload_id):
            raise UploadNotFound(upload_id)

    def _pieces(self, upload_id: str) -> Pieces:
        return Pieces(self._objects, _checked(upload_id))


def _checked(upload_id: str) -> str:
    """Return an id. Raises UploadNotFound if it is invalid."""
    if not ID.match(upload_id):
        raise UploadNotFound(upload_id)
    return upload_id


def _announced(upload_id: str) -> str:
    return f"{ANNOUNCED}{_checked(upload_id)}"


def _id_in(info: ObjectInfo, folder: str) -> str:
    return info.name.removeprefix(folder).partition("/")[0]

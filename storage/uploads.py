"""Files that people send from their own computers: kept in a folder until their image is Ready.

`<uploads>/<id>/upload.json` says what comes, `<uploads>/<id>/data` is what came. Its length is the offset: whatever was written
outlives a SIGKILL of the process that took it. An upload's id is also the id of the image that is made of it.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catalog.errors import InvalidRequest, UploadBusy, UploadNotFound
from catalog.records import Record
from catalog.settings import Settings

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")  # a UUID as images have it
SCHEME = "upload"


class Upload(Record):
    """What was announced. length in bytes; flow: that adds the image; request: of it, as JSON."""

    id: str
    length: int
    filename: str
    flow: str
    request: str
    created_at: datetime


class Uploads:
    """All uploads below a folder."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.uploads_folder
        self._idle = timedelta(seconds=settings.upload_idle_s)
        self._kept = timedelta(days=settings.upload_days)

    def create(self, upload: Upload) -> None:
        """Begin an upload. Raises InvalidRequest where its folder has no room for it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self._folder).free
        if upload.length > free:
            raise InvalidRequest("file", f"{upload.length} bytes", f"its folder has room for {free}")
        aside = self._folder / f".{upload.id}"
        aside.mkdir(mode=0o700)
        (aside / "upload.json").write_text(upload.model_dump_json())
        (aside / "data").touch(mode=0o600)
        aside.rename(self._folder / upload.id)

    def get(self, upload_id: str) -> Upload:
        """Return what was announced. Raises UploadNotFound."""
        try:
            return Upload.model_validate_json((self._place(upload_id) / "upload.json").read_bytes())
        except OSError as error:
            raise UploadNotFound(upload_id) from error

    def data(self, upload_id: str) -> Path:
        """Return where the bytes lie. Raises UploadNotFound for what is no id."""
        return self._place(upload_id) / "data"

    def offset(self, upload_id: str) -> int:
        """Return how many bytes are kept. Raises UploadNotFound."""
        return self._facts(upload_id).st_size

    def expires_at(self, upload_id: str) -> datetime:
        """Return when it is discarded unless more comes. Raises UploadNotFound."""
        return self._touched(upload_id) + self._kept

    def is_idle(self, upload_id: str) -> bool:
        """Tell whether nothing came for so long that it counts as suspended. Raises UploadNotFound."""
        return datetime.now(UTC) - self._touched(upload_id) > self._idle

    def all(self) -> Iterator[Upload]:
        """Yield all uploads, oldest first; what vanishes meanwhile is left out."""
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        found = [
            upload for place in places if ID.match(place.name) and (upload := self._readable(place.name))
        ]
        yield from sorted(found, key=lambda upload: upload.created_at)

    @contextmanager
    def appending(self, upload_id: str) -> Iterator[int]:
        """Yield the descriptor to append to, durable at the end. Raises UploadNotFound, UploadBusy if somebody else is at it."""
        try:
            fd = os.open(self.data(upload_id), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise UploadNotFound(upload_id) from error
        try:
            _lock(fd, upload_id)
            yield fd
        finally:
            os.fsync(fd)
            os.close(fd)

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat."""
        shutil.rmtree(self._place(upload_id), ignore_errors=True)

    def expired(self) -> tuple[Upload, ...]:
        """Return the uploads that nobody went on with for too long."""
        return tuple(upload for upload in self.all() if self.expires_at(upload.id) < datetime.now(UTC))

    def remove_half_made(self) -> None:
        """Remove what a death left of creations."""
        for place in self._folder.glob(".*"):
            if time.time() - place.stat().st_mtime > self._idle.total_seconds():
                shutil.rmtree(place, ignore_errors=True)

    def _place(self, upload_id: str) -> Path:
        if not ID.match(upload_id):
            raise UploadNotFound(upload_id)
        return self._folder / upload_id

    def _readable(self, upload_id: str) -> Upload | None:
        try:
            return self.get(upload_id)
        except UploadNotFound:
            return None

    def _touched(self, upload_id: str) -> datetime:
        return datetime.fromtimestamp(self._facts(upload_id).st_mtime, UTC)

    def _facts(self, upload_id: str) -> os.stat_result:
        try:
            return self.data(upload_id).stat()
        except OSError as error:
            raise UploadNotFound(upload_id) from error


def url_of(upload_id: str) -> str:
    """Return the URL by which a flow reads an upload."""
    return f"{SCHEME}://{upload_id}"


def discard_source(url: str, settings: Settings) -> None:
    """Delete the upload at a URL; those of other schemes are left alone."""
    scheme, _, upload_id = url.partition("://")
    if scheme == SCHEME and ID.match(upload_id):
        Uploads(settings).discard(upload_id)


def _lock(fd: int, upload_id: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UploadBusy(upload_id) from error

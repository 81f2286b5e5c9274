"""Files that people send from their own computers: kept in a folder until their image is Ready.

`<uploads>/<id>/upload.json` says what comes, `<uploads>/<id>/data` is what came. Its length is the offset: whatever was written
outlives a SIGKILL of the process that took it. An upload's id is also the id of the image that is made of it.
`started.json` names the runs that were asked to add it, `refused` says why its first bytes are not what was announced.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile

from catalog.errors import InvalidRequest, UploadBusy, UploadNotFound
from catalog.files import locked, open_locked, written_aside
from catalog.privacy import closed, file_mode, make_folder
from catalog.records import Door, Record
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.storages.sources import UPLOAD
from catalog.settings import Settings

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")  # a UUID as images have it
NEVER = datetime.min.replace(tzinfo=UTC)
MOST_UNFINISHED = 10
"""Unfinished uploads of all accounts together, in multiples of what one account may have."""


class Upload(Record):
    """What was announced. length in bytes; flow: that adds the image; request: of it, as JSON.

    identity: who sends it, None for the operators; door: by which it comes.
    """

    id: str
    length: int
    filename: str
    flow: str
    request: str
    created_at: datetime
    identity: str | None = None
    door: Door = "console"

    @property
    def owner(self) -> str:
        """The account that the image will belong to."""
        return str(json.loads(self.request).get("account", ADMIN))

    def is_for(self, account: str) -> bool:
        """Tell whether an account may read and discard it."""
        return account in (ADMIN, self.owner)


class Uploads:
    """All uploads below a folder."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.uploads_folder
        self._idle = timedelta(seconds=settings.upload_idle_s)
        self._kept = timedelta(days=settings.upload_days)
        self._each = settings.uploads_unfinished

    def create(self, upload: Upload) -> None:
        """Begin an upload. Raises InvalidRequest where it is empty, its folder lacks room for it, or too many are unfinished.

        Room that was promised to others and is not filled yet is not free.
        """
        if not upload.length:
            raise InvalidRequest("file", "0 bytes", "a file that is not empty")
        make_folder(self._folder)
        with locked(self._folder):  # so that two don't count on the same room
            self._check_place(upload, tuple(self._unfinished()))
            aside = self._folder / f".{upload.id}"
            make_folder(aside)
            with open(aside / "upload.json", "x", opener=closed) as file:
                file.write(upload.model_dump_json())
            (aside / "data").touch(mode=file_mode())
            aside.rename(self._folder / upload.id)

    def correct(self, upload: Upload) -> None:
        """Announce a kept upload otherwise: its bytes stay. Raises UploadNotFound."""
        self._write(upload.id, "upload.json", upload.model_dump_json())
        with suppress(FileNotFoundError):
            (self._place(upload.id) / "refused").unlink()

    def get(self, upload_id: str) -> Upload:
        """Return what was announced. Raises UploadNotFound."""
        try:
            return Upload.model_validate_json((self._place(upload_id) / "upload.json").read_bytes())
        except OSError as error:
            raise UploadNotFound(upload_id) from error

    def data(self, upload_id: str) -> Path:
        """Return where the bytes lie. Raises UploadNotFound for what is no id."""
        return self._place(upload_id) / "data"

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Remember why what was sent is not what was announced. Raises UploadNotFound."""
        self._write(upload_id, "refused", sentence)

    def refusal(self, upload_id: str) -> str:
        """Return why no more of it is taken, empty where nothing is wrong. Raises UploadNotFound for what is no id."""
        try:
            return (self._place(upload_id) / "refused").read_text()
        except OSError:
            return ""

    def begin_run(self, upload_id: str, run: str) -> None:
        """Remember a run that was asked to add it. Raises UploadNotFound."""
        runs = self.runs(upload_id)
        if run not in runs:
            self._write(upload_id, "started.json", json.dumps([*runs, run]))

    def runs(self, upload_id: str) -> tuple[str, ...]:
        """Return the runs that were asked to add it, oldest first. Raises UploadNotFound for what is no id."""
        try:
            return tuple(json.loads((self._place(upload_id) / "started.json").read_bytes()))
        except (OSError, ValueError):
            return ()

    def offset(self, upload_id: str) -> int:
        """Return how many bytes are kept. Raises UploadNotFound."""
        return self._facts(upload_id).st_size

    def expires_at(self, upload_id: str) -> datetime:
        """Return when it is discarded unless more comes. Raises UploadNotFound."""
        return self._touched(upload_id) + self._kept

    def is_idle(self, upload_id: str) -> bool:
        """Tell whether nothing came for so long that it counts as suspended. Raises UploadNotFound."""
        return self._now() - self._touched(upload_id) > self._idle

    def all(self) -> Iterator[Upload]:
        """Yield all uploads, oldest first; what vanishes meanwhile is left out."""
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        found = [upload for place in places if ID.match(place.name) and (upload := self._readable(place.name))]
        yield from sorted(found, key=lambda upload: upload.created_at)

    @contextmanager
    def appending(self, upload_id: str) -> Iterator[int]:
        """Yield the descriptor to append to, durable at the end. Raises UploadNotFound, UploadBusy if somebody else is at it."""
        try:
            fd = open_locked(self.data(upload_id), os.O_WRONLY | os.O_APPEND, wait=False)
        except BlockingIOError as error:
            raise UploadBusy(upload_id) from error
        except OSError as error:
            raise UploadNotFound(upload_id) from error
        try:
            yield fd
        finally:
            os.fsync(fd)
            os.close(fd)

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat."""
        shutil.rmtree(self._place(upload_id), ignore_errors=True)

    def expired(self) -> tuple[Upload, ...]:
        """Return the uploads that nobody went on with for too long."""
        found = tuple(self.all())
        now = self._now() if found else NEVER
        return tuple(upload for upload in found if self._touched(upload.id) + self._kept < now)

    def remove_half_made(self) -> None:
        """Remove what a death left of creations."""
        for place in self._folder.glob(".*"):
            with suppress(FileNotFoundError):  # the creation was done meanwhile
                if self._now() - _changed(place) > self._idle:
                    shutil.rmtree(place, ignore_errors=True)

    def _now(self) -> datetime:
        """Return the moment by the clock that stamps the files: that of the file server, where hosts share the folder."""
        make_folder(self._folder)
        with TemporaryFile(dir=self._folder) as probe:
            probe.write(b"x")
            probe.flush()
            return datetime.fromtimestamp(os.fstat(probe.fileno()).st_mtime, UTC)

    def _unfinished(self) -> Iterator[tuple[Upload, int]]:
        """Yield what still comes, with the bytes that are lacking."""
        for upload in self.all():
            with suppress(UploadNotFound):
                if lacking := upload.length - self.offset(upload.id):
                    yield upload, lacking

    def _check_place(self, upload: Upload, unfinished: Sequence[tuple[Upload, int]]) -> None:
        promised = sum(lacking for _, lacking in unfinished)
        free = max(shutil.disk_usage(self._folder).free - promised, 0)
        if upload.length > free:
            raise InvalidRequest("file", f"{upload.length} bytes", f"its folder has room for {free} bytes")
        own = sum(other.owner == upload.owner for other, _ in unfinished)
        if own >= self._each or len(unfinished) >= MOST_UNFINISHED * self._each:
            whose = f"account {upload.owner!r} has {own}" if own >= self._each else f"there are {len(unfinished)}"
            allowed = f"{whose} unfinished uploads, as many as may be; go on with one or discard it"
            raise InvalidRequest("file", upload.filename, allowed)

    def _write(self, upload_id: str, name: str, text: str) -> None:
        """Put a file beside the bytes, whole or not at all. Raises UploadNotFound."""
        try:
            with written_aside(self._place(upload_id) / name) as file:
                file.write(text.encode())
        except FileNotFoundError as error:
            raise UploadNotFound(upload_id) from error

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


def _changed(place: Path) -> datetime:
    return datetime.fromtimestamp(place.stat().st_mtime, UTC)


def url_of(upload_id: str) -> str:
    """Return the URL by which a flow reads an upload."""
    return f"{UPLOAD}://{upload_id}"


def discard_source(url: str, settings: Settings, account: str) -> None:
    """Delete the upload at a URL if it is this account's; those of others, and other schemes, are left alone."""
    scheme, _, upload_id = url.partition("://")
    if scheme == UPLOAD and ID.match(upload_id):
        uploads = Uploads(settings)
        with suppress(UploadNotFound):
            if uploads.get(upload_id).is_for(account):
                uploads.discard(upload_id)

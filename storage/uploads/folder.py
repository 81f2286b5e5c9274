"""Uploads in a folder of this host, or one shared by hosts.

`<uploads>/<id>/upload.json` is the announcement, `<uploads>/<id>/data` the received bytes. Its length is the offset:
written bytes survive a SIGKILL of their process. `started.json` names the runs that were asked to add it, `refused`
says why its first bytes are not what was announced.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from catalog.errors import UploadBusy, UploadNotFound
from catalog.files import open_locked, written_aside
from catalog.privacy import closed, file_mode, make_folder
from storage.uploads.upload import ID, Upload

WRITE_BYTES = 1 << 20  # written at once: each write is a hop into a thread


class FolderTurn:
    """Bytes appended to a file under its lock."""

    piece_bytes = WRITE_BYTES

    def __init__(self, fd: int) -> None:
        self._fd, self._offset = fd, os.fstat(fd).st_size

    @property
    def offset(self) -> int:
        """The number of kept bytes."""
        return self._offset

    def write(self, data: bytes | bytearray) -> None:
        """Append. Raises OSError if the disk is full."""
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self._offset += written
            view = view[written:]


class UploadFolder:
    """All uploads below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, upload: Upload) -> None:
        """Make the upload's folder atomically."""
        make_folder(self._folder)
        aside = self._folder / f".{upload.id}"
        make_folder(aside)
        with open(aside / "upload.json", "x", opener=closed) as file:
            file.write(upload.model_dump_json())
        (aside / "data").touch(mode=file_mode())
        aside.rename(self._folder / upload.id)

    def correct(self, upload: Upload) -> None:
        """Correct the announcement of a kept upload; its bytes stay. Raises UploadNotFound."""
        self._write(upload.id, "upload.json", upload.model_dump_json())
        with suppress(FileNotFoundError):
            (self._place(upload.id) / "refused").unlink()

    def get(self, upload_id: str) -> Upload:
        """Return the announcement. Raises UploadNotFound."""
        try:
            return Upload.model_validate_json((self._place(upload_id) / "upload.json").read_bytes())
        except OSError as error:
            raise UploadNotFound(upload_id) from error

    def all(self) -> Iterator[Upload]:
        """Yield all uploads; those that vanish meanwhile are left out."""
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        for place in places:
            with suppress(UploadNotFound):
                yield self.get(place.name)

    def data(self, upload_id: str) -> Path:
        """Return the path of the bytes. Raises UploadNotFound for an invalid id."""
        return self._place(upload_id) / "data"

    def blocks(self, upload_id: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the kept bytes of `[start, end)`, a MiB at once. Raises UploadNotFound."""
        try:
            with self.data(upload_id).open("rb") as file:
                for first in range(start, end, WRITE_BYTES):
                    if block := os.pread(file.fileno(), min(WRITE_BYTES, end - first), first):
                        yield block
        except FileNotFoundError as error:
            raise UploadNotFound(upload_id) from error

    @contextmanager
    def appending(self, upload_id: str) -> Iterator[FolderTurn]:
        """Append to the file, durable at the end. Raises UploadNotFound, UploadBusy if another sender has the turn."""
        try:
            fd = open_locked(self.data(upload_id), os.O_WRONLY | os.O_APPEND, wait=False)
        except BlockingIOError as error:
            raise UploadBusy(upload_id) from error
        except OSError as error:
            raise UploadNotFound(upload_id) from error
        try:
            yield FolderTurn(fd)
        finally:
            os.fsync(fd)
            os.close(fd)

    def refuse(self, upload_id: str, sentence: str) -> None:
        """Record why the bytes are not what was announced. Raises UploadNotFound."""
        self._write(upload_id, "refused", sentence)

    def refusal(self, upload_id: str) -> str:
        """Return why no more bytes are accepted, "" if they are. Raises UploadNotFound for an invalid id."""
        try:
            return (self._place(upload_id) / "refused").read_text()
        except OSError:
            return ""

    def begin_run(self, upload_id: str, run: str) -> None:
        """Record a run that was asked to add it. Raises UploadNotFound."""
        runs = self.runs(upload_id)
        if run not in runs:
            self._write(upload_id, "started.json", json.dumps([*runs, run]))

    def runs(self, upload_id: str) -> tuple[str, ...]:
        """Return the runs that were asked to add it, oldest first. Raises UploadNotFound for an invalid id."""
        try:
            return tuple(json.loads((self._place(upload_id) / "started.json").read_bytes()))
        except (OSError, ValueError):
            return ()

    def offset(self, upload_id: str) -> int:
        """Return the number of kept bytes. Raises UploadNotFound."""
        return self._facts(upload_id).st_size

    def touched(self, upload_id: str) -> datetime:
        """Return when its last bytes arrived. Raises UploadNotFound."""
        return datetime.fromtimestamp(self._facts(upload_id).st_mtime, UTC)

    def now(self) -> datetime:
        """Return the time of the clock that stamps the files: the file server's if hosts share the folder."""
        make_folder(self._folder)
        with TemporaryFile(dir=self._folder) as probe:
            probe.write(b"x")
            probe.flush()
            return datetime.fromtimestamp(os.fstat(probe.fileno()).st_mtime, UTC)

    def discard(self, upload_id: str) -> None:
        """Delete an upload. Safe to repeat."""
        shutil.rmtree(self._place(upload_id), ignore_errors=True)

    def remove_half_made(self, older_than: datetime) -> None:
        """Remove leftovers of creations interrupted before a moment."""
        for place in self._folder.glob(".*"):
            with suppress(FileNotFoundError):  # the creation was finished meanwhile
                if datetime.fromtimestamp(place.stat().st_mtime, UTC) < older_than:
                    shutil.rmtree(place, ignore_errors=True)

    def _write(self, upload_id: str, name: str, text: str) -> None:
        """Write a file beside the bytes atomically. Raises UploadNotFound."""
        try:
            with written_aside(self._place(upload_id) / name) as file:
                file.write(text.encode())
        except FileNotFoundError as error:
            raise UploadNotFound(upload_id) from error

    def _place(self, upload_id: str) -> Path:
        if not ID.match(upload_id):
            raise UploadNotFound(upload_id)
        return self._folder / upload_id

    def _facts(self, upload_id: str) -> os.stat_result:
        try:
            return self.data(upload_id).stat()
        except OSError as error:
            raise UploadNotFound(upload_id) from error

"""Notes in the home of unfinished uploads, so that the same command resumes them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import Record
from catalog.settings import Settings


class Sent(Record):
    """A file as it was when its upload began. mtime_ns: time of its last change."""

    path: str
    size: int
    mtime_ns: int
    device: int
    inode: int


class KeptUpload(Record):
    """An unfinished upload. id: the upload's at the service, and the future image's; request: JSON with sorted keys.

    run: the run that adds it, "" until known; is_refused: that run failed, and the bytes are there for another one.
    """

    id: str
    url: str
    operation: str
    request: str
    file: Sent
    run: str = ""
    is_refused: bool = False


def facts(path: Path, found: os.stat_result) -> Sent:
    """Return the facts that identify a file."""
    return Sent(
        path=str(path.resolve()),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        device=found.st_dev,
        inode=found.st_ino,
    )


class KeptUploads:
    """The notes of a home."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "sending"

    def of(self, url: str, file: Sent) -> tuple[KeptUpload, ...]:
        """Return the unfinished uploads of a file at a service."""
        return tuple(one for one in self._all() if one.url == url and one.file == file)

    def keep(self, upload: KeptUpload) -> None:
        """Save the note of an upload."""
        make_folder(self._folder)
        with written_aside(self._folder / f"{upload.id}.json") as file:
            file.write(upload.model_dump_json().encode())

    def forget(self, upload: KeptUpload) -> None:
        """Delete the note of an upload that has become an image or no longer exists."""
        (self._folder / f"{upload.id}.json").unlink(missing_ok=True)

    def _all(self) -> Iterator[KeptUpload]:
        for place in sorted(self._folder.glob("*.json")):
            with suppress(OSError, ValidationError):
                yield KeptUpload.model_validate_json(place.read_bytes())

"""What is being sent from here: noted in the home, so that the same command goes on after it broke off."""

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
    """A file as it was when it began to be sent. mtime_ns: of its last change."""

    path: str
    size: int
    mtime_ns: int
    device: int
    inode: int


class KeptUpload(Record):
    """An upload that was begun. id: of the service, and of the image that it becomes; request: as JSON, keys in order.

    run: that adds it, "" before one is known; is_refused: that run failed, and the bytes are there for another one.
    """

    id: str
    url: str
    operation: str
    request: str
    file: Sent
    run: str = ""
    is_refused: bool = False


def facts(path: Path, found: os.stat_result) -> Sent:
    """Return what tells a file from others."""
    return Sent(
        path=str(path.resolve()), size=found.st_size, mtime_ns=found.st_mtime_ns, device=found.st_dev, inode=found.st_ino
    )  # fmt: skip


class KeptUploads:
    """The notes of a home."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "sending"

    def of(self, url: str, file: Sent) -> tuple[KeptUpload, ...]:
        """Return what was begun of a file at a service."""
        return tuple(one for one in self._all() if one.url == url and one.file == file)

    def keep(self, upload: KeptUpload) -> None:
        """Note an upload, or how it stands now."""
        make_folder(self._folder)
        with written_aside(self._folder / f"{upload.id}.json") as file:
            file.write(upload.model_dump_json().encode())

    def forget(self, upload: KeptUpload) -> None:
        """Forget one that is an image, or is nowhere any more."""
        (self._folder / f"{upload.id}.json").unlink(missing_ok=True)

    def _all(self) -> Iterator[KeptUpload]:
        for place in sorted(self._folder.glob("*.json")):
            with suppress(OSError, ValidationError):
                yield KeptUpload.model_validate_json(place.read_bytes())

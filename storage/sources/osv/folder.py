"""The JSON files in a folder of this host, below the roots of files; no symlink on the way or in it is followed."""

import os
import stat
from collections.abc import Iterator

from catalog.errors import SourceForbidden
from storage.sources.file import FileSource
from storage.sources.osv.pieces import SUFFIX, Piece

MOST_DEEP = 16
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def in_folder(source: FileSource, most: int) -> Iterator[Piece]:
    """Yield the documents in a folder, in name order, each cut at one byte more than `most`. Raises SourceForbidden."""

    def refuse(error: OSError) -> None:
        raise SourceForbidden(source.url.masked, f"a folder in it can't be read: {error.strerror}") from error

    with source.folder() as number:
        for place, folders, names, folder in os.fwalk(".", onerror=refuse, dir_fd=number):
            folders.sort()
            if place.count("/") >= MOST_DEEP:
                raise SourceForbidden(source.url.masked, f"it has folders more than {MOST_DEEP} deep")
            for name in sorted(names):
                if name.endswith(SUFFIX):
                    yield _read(os.path.normpath(os.path.join(place, name)), name, folder, most)  # noqa: PTH118  # a name to show


def _read(shown: str, name: str, folder: int, most: int) -> Piece:
    try:
        number = os.open(name, FLAGS, dir_fd=folder)
    except OSError as error:
        return Piece(shown, b"", f"it can't be read: {error.strerror}")
    with open(number, "rb") as file:  # noqa: PTH123  # by its descriptor
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return Piece(shown, b"", "it is not a regular file")
        return Piece(shown, file.read(most + 1))

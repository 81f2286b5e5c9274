"""The files of the system in a stored file, with size and time, read in the confined process."""

import json
from dataclasses import dataclass, field

from storage.boot.contents import ENDED
from storage.boot.probing import Bounds, looked
from storage.protocols import ImageReader

BOUNDS = Bounds(timeout_s=60, most_read=1 << 30, most_said=48 << 20, memory_bytes=2 << 30)


@dataclass
class FileTree:
    """Of each file, by its path: bytes, and when it was changed (seconds since 1970). unread: what could not be listed, in sentences.

    No record: a system has a hundred thousand files, and each costs a twentieth so.
    """

    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def file_tree(reader: ImageReader, image_format: str, bounds: Bounds = BOUNDS) -> FileTree:
    """Return the files of the system that is installed; none where none is. Raises only the reader's own errors."""
    found, whole = FileTree(), False
    for line in looked("tree", reader, image_format, bounds).splitlines():
        try:
            told = json.loads(line)
            found.files |= {str(path): (int(size), int(changed)) for path, size, changed in told.get("files", ())}
            found.unread += tuple(map(str, told.get("unread", ())))
            whole = whole or bool(told.get("whole", False))
        except (ValueError, TypeError, AttributeError):
            break  # the process was killed in the middle of a line
    if not whole:
        found.unread += (ENDED,)
    return found

"""Files of our own on this host: converted images in the scratch folder, exports. Users' files are `sources.file`."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from storage.protocols import Digests, SourceInfo

BLOCK_BYTES = 4 << 20
PARTS = 1024  # the most that one call takes
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What writing a file ends with where there is no room: the disk, a quota or the largest file."""
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What it ends with where we may not, or nobody may: trying again is in vain."""


class LocalFile:
    """A Source over a file that this process made."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def probe(self) -> SourceInfo:
        """Return size and modification time."""
        stat = self._path.stat()
        return SourceInfo(
            url=self._path.name,
            size_bytes=stat.st_size,
            last_modified=str(stat.st_mtime_ns),
            resumable=True,
            local=True,
        )

    @contextmanager
    def open(self, offset: int, info: SourceInfo) -> Iterator[FileIO]:  # noqa: ARG002  # nobody else writes this file
        """Read from `offset` on."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset)
            yield file


def write_at(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> int:
    """Write buffers one after the other from `offset` on, without joining them; return where they end. Raises OSError."""
    for first in range(0, len(parts), PARTS):
        some = parts[first : first + PARTS]
        size = sum(map(len, some))
        written = os.pwritev(fd, some, offset)
        while written < size:  # short, e.g. as the disk fills up
            written += os.pwrite(fd, memoryview(b"".join(some))[written:], offset + written)
        offset += size
    return offset


def measure(path: Path) -> Digests:
    """Return size, MD5 and SHA-256 of a file, read once in blocks of 4 MiB."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            md5.update(block)
            sha256.update(block)
            size += len(block)
    return Digests(size_bytes=size, md5=md5.hexdigest(), sha256=sha256.hexdigest())

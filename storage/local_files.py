"""Our own files on this host: converted images in the scratch folder, exports. Users' files are `sources.file`."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Self

from storage.protocols import Digests, SourceInfo

BLOCK_BYTES = 4 << 20


class LocalSource:
    """A Source over a file made by this process."""

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
    def open(self, offset: int, info: SourceInfo) -> Iterator[FileIO]:  # noqa: ARG002  # no other process writes this file
        """Read from `offset` on."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset)
            yield file


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


class LocalReader:
    """A regular file, open for reading until closed. Its bytes are not verified."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        return os.pread(self._fd, size, offset)

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole) as reported by the file system."""
        at = 0
        while at < self.size_bytes:
            data = self._seek(at, os.SEEK_DATA)
            if data > at:
                yield at, data, True
            if data < self.size_bytes:
                at = self._seek(data, os.SEEK_HOLE)
                yield data, at, False
            else:
                return

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self._fd, offset, whence)
        except OSError:
            return self.size_bytes  # ENXIO: only a hole from here on

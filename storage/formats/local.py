"""A file on this machine as an `ImageReader`: scratch files, exports."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self


class LocalFile:
    """A regular file, open for reading until closed. Its bytes are not verified by anything."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        return os.pread(self._fd, size, offset)

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole) as the file system tells it."""
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
            return self.size_bytes  # ENXIO: nothing but a hole from here on

"""A reserve on the catalog's disk, so that deletes can still be recorded when the disk is full.

A file of some MiB lies beside a SQLite catalog. Work that frees space (`freeing_room`) removes it when the disk is
full; the next write with enough space creates it again. Nothing else uses it: an add on a full disk fails.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from catalog.privacy import file_mode

LITTLE_BYTES = 1 << 20  # with less, a change may not fit: it writes some pages of the tables and the write-ahead log
SHARED_BYTES = 128 << 10  # SQLite needs this to open: the file of its shared memory
_freeing: ContextVar[bool] = ContextVar("freeing", default=False)


@contextmanager
def freeing_room() -> Iterator[None]:
    """Allow the block to use the reserve, because its work frees space."""
    token = _freeing.set(True)
    try:
        yield
    finally:
        _freeing.reset(token)


def free_bytes(place: Path) -> int:
    """Return the free bytes on the disk of a folder, -1 if unknown."""
    try:
        room = os.statvfs(place)
    except OSError:
        return -1
    return room.f_bavail * room.f_frsize


class Ballast:
    """The reserve of one catalog. size_bytes: 0 for none."""

    def __init__(self, catalog: Path, size_bytes: int) -> None:
        self.folder = catalog.parent
        self.file = catalog.with_name(f"{catalog.name}-reserve")
        self._shared = catalog.with_name(f"{catalog.name}-shm")
        self._size = size_bytes

    def before_use(self) -> None:
        """Remove the reserve if that is needed and allowed; create it if there is space. Takes one look at the disk."""
        free = free_bytes(self.folder)
        if 0 <= free < LITTLE_BYTES and _freeing.get():
            self.file.unlink(missing_ok=True)
        elif 0 <= free < SHARED_BYTES and not self._shared.exists():
            self._nibble()
        elif self._size and free > 2 * self._size + LITTLE_BYTES and not self.file.exists():
            self._make()

    def refuses(self) -> bool:
        """Tell whether a change is refused for lack of space: the rest is for work that frees some."""
        return bool(self._size) and not _freeing.get() and 0 <= free_bytes(self.folder) < 2 * SHARED_BYTES

    def _nibble(self) -> None:
        """Cut enough off the reserve for SQLite to open, even to read; half of it stays for work that frees space."""
        with suppress(OSError):
            size = self.file.stat().st_size
            if size > self._size // 2:
                os.truncate(self.file, size - SHARED_BYTES)

    def _make(self) -> None:
        with suppress(OSError):  # another process creates it, or the disk is filling up: then there is none
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file_mode())
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)

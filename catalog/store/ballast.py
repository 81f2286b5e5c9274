"""A reserve on the catalog's disk: on a full one, what makes room can still be written down.

A file of some MiB lies beside a SQLite catalog. Work that frees room (`freeing_room`) lets go of it when the disk is full;
it is made again by whoever writes next once there is room. Nothing else takes it: an add on a full disk fails.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from catalog.privacy import file_mode

LITTLE_BYTES = 1 << 20  # with less, a change may not fit: some pages of the tables and the write-ahead log
SHARED_BYTES = 128 << 10  # what SQLite needs to be opened at all: the memory that its processes share, in a file
_freeing: ContextVar[bool] = ContextVar("freeing", default=False)


@contextmanager
def freeing_room() -> Iterator[None]:
    """Do work for the block that is allowed to use the reserve, since room is what it gives back."""
    token = _freeing.set(True)
    try:
        yield
    finally:
        _freeing.reset(token)


def free_bytes(place: Path) -> int:
    """Return the room that we have on the disk of a folder, -1 where it can't be told."""
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
        """Let go of the reserve where that is needed and allowed; make it where there is room. Costs a look at the disk."""
        free = free_bytes(self.folder)
        if 0 <= free < LITTLE_BYTES and _freeing.get():
            self.file.unlink(missing_ok=True)
        elif 0 <= free < SHARED_BYTES and not self._shared.exists():
            self._nibble()
        elif self._size and free > 2 * self._size + LITTLE_BYTES and not self.file.exists():
            self._make()

    def refuses(self) -> bool:
        """Tell whether a change has to wait for room: what is left was let go for those who make some."""
        return bool(self._size) and not _freeing.get() and 0 <= free_bytes(self.folder) < 2 * SHARED_BYTES

    def _nibble(self) -> None:
        """Give SQLite the room to be opened, for reading too; half of the reserve stays for those who free room."""
        with suppress(OSError):
            size = self.file.stat().st_size
            if size > self._size // 2:
                os.truncate(self.file, size - SHARED_BYTES)

    def _make(self) -> None:
        with suppress(OSError):  # somebody else makes it, or the disk is filling up just now: there is none, then
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file_mode())
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)

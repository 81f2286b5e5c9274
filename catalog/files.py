"""Files written aside and renamed, locked files, folders synced to disk, and the room that is there."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from catalog.privacy import closed, file_mode, make_folder

PARTS = 1024  # the most buffers that one call takes
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""errno values of a write without room: full disk, quota, or largest file size."""
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""errno values of a write that is forbidden or read-only: retrying is useless."""


def write_at(fd: int, parts: Sequence[bytes | memoryview], offset: int) -> int:
    """Write buffers one after another from `offset`, without joining them; return the end offset. Raises OSError."""
    for first in range(0, len(parts), PARTS):
        some = parts[first : first + PARTS]
        size = sum(map(len, some))
        written = os.pwritev(fd, some, offset)
        while written < size:  # a short write, e.g. as the disk fills up
            written += os.pwrite(fd, memoryview(b"".join(some))[written:], offset + written)
        offset += size
    return offset


@contextmanager
def written_aside(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file beside `target` that replaces it when the block succeeds and is removed after an error.

    durable: the file and its name survive a power cut. Raises OSError, also at the end of the block.
    """
    with _aside(target) as aside:
        with open(aside, "x+b", opener=closed) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        take_place(aside, target, durable=durable)


@contextmanager
def made_aside(target: Path) -> Iterator[Path]:
    """Yield the path of a file to create, which replaces `target` when the block succeeds. Durable.

    For programs that open files themselves. The path is the same each time; what a killed process left is removed
    first.
    """
    aside = target.with_name(f".{target.name}.new")
    aside.unlink(missing_ok=True)
    with _aside(target, aside):
        yield aside
        sync(aside)
        take_place(aside, target)


def take_place(aside: Path, target: Path, *, durable: bool = True) -> None:
    """Rename a finished file to `target` atomically. durable: the rename survives a power cut."""
    aside.replace(target)
    if durable:
        sync(target.parent)


def made_once(path: Path, content: bytes) -> bytes:
    """Return a file's content; if it is missing, create it atomically: of concurrent callers exactly one wins."""
    if not path.exists():
        make_folder(path.parent)
        with _aside(path) as aside:
            with open(aside, "xb", opener=closed) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(aside, path)
            sync(path.parent)
    return path.read_bytes()


@contextmanager
def _aside(target: Path, aside: Path | None = None) -> Iterator[Path]:
    aside = aside or target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        yield aside
    finally:
        with suppress(OSError):  # whatever prevented its creation prevents its removal too
            aside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or the names in a folder, would survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_locked(path: Path, flags: int = os.O_RDONLY, *, wait: bool = True, mode: int | None = None) -> int:
    """Return a descriptor that holds the lock of a file or folder until it is closed. Child processes don't inherit it.

    A lock ends with its process, however that ends. mode: of a new file, private by default.
    Raises OSError; BlockingIOError if somebody else holds the lock and `wait` is False.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, file_mode() if mode is None else mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path, flags: int = os.O_RDONLY, *, wait: bool = True) -> Iterator[int]:
    """Hold the lock of `open_locked` for the block and yield the descriptor."""
    descriptor = open_locked(path, flags, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where a folder is or will be made."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free

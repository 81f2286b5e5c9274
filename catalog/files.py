"""Files written aside and renamed, locked files, folders synced to disk."""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from catalog.privacy import closed, file_mode, make_folder

PARTS = 1024  # the most that one call takes
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What writing a file ends with where there is no room: the disk, a quota or the largest file."""
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What it ends with where we may not, or nobody may: trying again is in vain."""


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


@contextmanager
def written_aside(target: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a new file beside `target` that takes its place when the block ends well; after an error nothing is left of it.

    durable: it outlives a power cut, its name included. Raises OSError, also at the end of the block.
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
    """Yield the name of a file to be made, which takes the place of `target` when the block ends well. Durable.

    For programs that open files by themselves. The name is the same each time: what a death left under it goes first.
    """
    aside = target.with_name(f".{target.name}.new")
    aside.unlink(missing_ok=True)
    with _aside(target, aside):
        yield aside
        sync(aside)
        take_place(aside, target)


def take_place(aside: Path, target: Path, *, durable: bool = True) -> None:
    """Let a finished file take the place of `target`, at once and for good."""
    aside.replace(target)
    if durable:
        sync(target.parent)


def made_once(path: Path, content: bytes) -> bytes:
    """Return what a file says; where it is not there yet, one of all who ask at once makes it, whole or not at all."""
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
        with suppress(OSError):  # what keeps it from being made keeps it from being found, too
            aside.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or the names in a folder, would outlive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_locked(path: Path, flags: int = os.O_RDONLY, *, wait: bool = True, mode: int | None = None) -> int:
    """Return a descriptor that holds a file's or folder's lock until it is closed; no program started meanwhile inherits it.

    A lock ends with its process, whatever killed it. mode: of a file that is made, a closed one by default.
    Raises OSError; BlockingIOError where somebody else holds the lock and `wait` is False.
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
    """Hold a lock for the block, as `open_locked` does, and yield the descriptor."""
    descriptor = open_locked(path, flags, wait=wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

"""A partial download: written in order beside its target, hashed meanwhile, and renamed once it is whole and proven.

Its name identifies the file (`disk.qcow2.<16 hex of its ETag's digest>.part`), its length the progress. So no other
notes are needed, and a part of another file is never resumed.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from catalog.errors import ChecksumMismatch, InvalidRequest
from catalog.files import locked, open_locked, take_place

READ_BYTES = 1 << 20
SPARSE_BYTES = 64 << 10
"""Blocks of this size are left as holes if they are all zeros."""
ZEROS = bytes(READ_BYTES)
OPEN_MODE = 0o666
"""Mode of a file that a person asked for; their umask decides."""


class PartialFile:
    """A file beside its target, under a lock. digests: expected of the whole file, by algorithm, in hex.

    Raises InvalidRequest if another process writes the same file, and the disk's OSError.
    """

    def __init__(self, target: Path, etag: str, size: int, digests: Mapping[str, str]) -> None:
        self._target, self._size, self._expected = target, size, digests
        self.path = target.with_name(f"{target.name}.{hashlib.sha256(etag.encode()).hexdigest()[:16]}.part")
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in digests}
        self.offset = 0

    def __enter__(self) -> Self:
        self._fd = self._opened()
        while not self._is_ours():  # another process has just renamed it
            os.close(self._fd)
            self._fd = self._opened()
        self._forget_others()
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._fd)

    def _opened(self) -> int:
        try:
            return open_locked(self.path, os.O_RDWR | os.O_CREAT, wait=False, mode=OPEN_MODE)
        except BlockingIOError as error:
            allowed = "a file that no other process downloads to"
            raise InvalidRequest("file", str(self._target), allowed) from error

    def _is_ours(self) -> bool:
        """Tell whether the locked file still has the name."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def resume(self, moved: Callable[[int], None]) -> None:
        """Hash the existing bytes. moved: called with the bytes read."""
        there = os.fstat(self._fd).st_size
        if there > self._size:
            os.ftruncate(self._fd, 0)
            return
        while self.offset < there:
            block = os.pread(self._fd, min(READ_BYTES, there - self.offset), self.offset)
            if not block:  # it was truncated meanwhile
                break
            self._digest(block)
            self.offset += len(block)
            moved(self.offset)

    def skip_to(self, offset: int) -> None:
        """Leave a hole up to an offset."""
        os.ftruncate(self._fd, offset)
        while self.offset < offset:
            zeros = ZEROS[: min(READ_BYTES, offset - self.offset)]
            self._digest(zeros)
            self.offset += len(zeros)

    def write(self, block: bytes) -> None:
        """Append bytes, leaving holes for zeros."""
        for first in range(0, len(block), SPARSE_BYTES):
            piece = block[first : first + SPARSE_BYTES]
            if piece != ZEROS[: len(piece)]:
                _write_all(self._fd, piece, self.offset + first)
        self.offset += len(block)
        os.ftruncate(self._fd, self.offset)
        self._digest(block)

    def _digest(self, block: bytes) -> None:
        for one in self._hashes.values():
            one.update(block)

    def finish(self, url: str) -> None:
        """Compare the digests, sync the file and rename it. Raises ChecksumMismatch, after deleting the file."""
        for name, expected in self._expected.items():
            actual = self._hashes[name].hexdigest()
            if actual != expected:
                self.path.unlink(missing_ok=True)
                raise ChecksumMismatch(url, f"{name}:{expected}", f"{name}:{actual}")
        os.fsync(self._fd)
        take_place(self.path, self._target)

    def _forget_others(self) -> None:
        """Remove partial downloads of other files under the same name: nothing resumes them."""
        ours = re.compile(re.escape(self._target.name) + r"\.[0-9a-f]{16}\.part")
        for other in self._target.parent.iterdir():
            if ours.fullmatch(other.name) and other.name != self.path.name:
                with suppress(OSError), locked(other, wait=False):  # a locked one is being written
                    other.unlink()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written

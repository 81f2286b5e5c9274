"""A complete file out of a pool: proven object by object, and as a whole."""

import os
import uuid
from pathlib import Path

from catalog.errors import CapacityExceeded, DigestMismatch, StorageUnavailable
from storage.ceph.layout import OBJECT_BYTES, ZEROS, data_runs, object_length
from storage.ceph.reader import Content, mismatch
from storage.ceph.reading import read_objects
from storage.digests import Digester
from storage.local import FULL
from storage.protocols import Digests, Progress


def export(
    content: Content, expected: Digests | None, target: Path, progress: Progress, wait_s: float
) -> Digests:
    """Write the file, sparse, aside, then rename it to `target`.

    expected: what was recorded for the whole file. Raises DigestMismatch, CapacityExceeded, StorageUnavailable; nothing is left then.
    """
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        digests = _write(content, aside, progress, wait_s)
        if expected is not None and digests != expected:
            raise DigestMismatch(content.name, f"sha256:{expected.sha256}", f"sha256:{digests.sha256}")
        aside.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno in FULL:
            free = os.statvfs(target.parent)
            raise CapacityExceeded(
                str(target.parent), content.size_bytes, free.f_bavail * free.f_frsize
            ) from error
        raise StorageUnavailable(str(target.parent), str(error)) from error
    finally:
        aside.unlink(missing_ok=True)
    return digests


def measure(content: Content, progress: Progress, wait_s: float) -> Digests:
    """Read the whole file, prove every object, return its size and digests."""
    return _digest(content, -1, progress, wait_s)


def _write(content: Content, aside: Path, progress: Progress, wait_s: float) -> Digests:
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.ftruncate(descriptor, content.size_bytes)
        digests = _digest(content, descriptor, progress, wait_s)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digests


def _digest(content: Content, descriptor: int, progress: Progress, wait_s: float) -> Digests:
    digester = Digester()
    try:
        storage, size = content.connection.storage, content.size_bytes
        for read in read_objects(storage, content.image, content.rows, size, wait_s=wait_s):
            error = mismatch(content.name, read.index, read.expected, read.actual)
            if error is not None:
                raise error
            start, length = read.index * OBJECT_BYTES, object_length(size, read.index)
            block = memoryview(ZEROS)[:length] if read.data is None else memoryview(read.data)
            digester.feed(block)
            if descriptor >= 0 and read.data is not None:
                _write_runs(descriptor, block, start)
            progress(start + length, size)
        return digester.result()
    finally:
        digester.close()


def _write_runs(descriptor: int, block: memoryview, start: int) -> None:
    for first, last in data_runs(block):
        written = first
        while written < last:
            written += os.pwrite(descriptor, block[written:last], start + written)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

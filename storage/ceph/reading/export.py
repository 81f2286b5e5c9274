"""Export of a complete file from a pool, proven object by object and as a whole."""

import os
from pathlib import Path

from catalog.errors import CapacityExceeded, DigestMismatch, StorageUnavailable
from catalog.files import FULL, written_aside
from storage.ceph.layout import OBJECT_BYTES, ZEROS, data_runs, object_length
from storage.ceph.object_reads import read_objects
from storage.ceph.reading.reader import Content, mismatch
from storage.protocols import Digests, Progress
from storage.transfer.digests import Digester


def export(content: Content, expected: Digests | None, target: Path, progress: Progress, wait_s: float) -> Digests:
    """Write the file, sparse, under a temporary name, then rename it to `target`.

    expected: the recorded digests of the whole file. Raises DigestMismatch, CapacityExceeded, StorageUnavailable;
    nothing is left then.
    """
    try:
        with written_aside(target) as file:
            os.ftruncate(file.fileno(), content.size_bytes)
            digests = _digest(content, file.fileno(), progress, wait_s)
            if expected is not None and digests != expected:
                raise DigestMismatch(content.name, f"sha256:{expected.sha256}", f"sha256:{digests.sha256}")
    except OSError as error:
        if error.errno in FULL:
            free = os.statvfs(target.parent)
            raise CapacityExceeded(str(target.parent), content.size_bytes, free.f_bavail * free.f_frsize) from error
        raise StorageUnavailable(str(target.parent), str(error)) from error
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
            if read.data is not None:
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

"""The guest's disk in a stored file, read by qemu-img: it sees what a machine would, so nothing is compared afterwards.

qemu-img receives the file from us over a socket, every byte proven, and returns the disk over another: it has no
network, no key and no file. Several run at once, each on a part of the disk, because one keeps only one processor busy.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from catalog.errors import ConversionFailed, ProgramFailed
from catalog.records import ImageFormat
from storage.ceph.layout import OBJECT_BYTES, ZEROS, object_length
from storage.ceph.reading.reader import CephReader
from storage.nbd.server import Given, Receive, Served, Taken, Taker
from storage.programs import qemu_img

MAX_PROGRAMS = 8  # each has its own reader of 32 MiB
Part = tuple[int, int]
Put = Callable[[int, bytes], None]
"""Stores one object of the disk, given its index and bytes. Objects of zeros are left out."""


def programs() -> int:
    """Return how many qemu-img processes run at once."""
    return min(os.cpu_count() or 1, MAX_PROGRAMS)


class QemuDisk:
    """The disk in an inspected file. Raises ConversionFailed, MissingProgram, and the reader's errors."""

    def __init__(self, reader: CephReader, image_format: ImageFormat) -> None:
        self._reader, self._format = reader, image_format

    def size_bytes(self) -> int:
        """Return the virtual size."""
        with self._file() as file:
            return qemu_img.served_size(file.descriptor, self._format)

    def extents(self, size_bytes: int) -> tuple[qemu_img.Extent, ...]:
        """Return the disk's extents. size_bytes: virtual size."""
        with self._file() as file:
            return qemu_img.extents(file.descriptor, self._format, size_bytes)

    def copy(self, part: Part, taker: Taker) -> None:
        """Pass a part of the disk to `taker`, in order and without its zeros."""
        target = Taken(taker)
        with self._file(target) as file:
            qemu_img.copy_part(file.descriptor, self._format, *part, target.descriptor)

    def copy_objects(self, parts: Sequence[Part], size_bytes: int, put: Put) -> Generator[Part, None, None]:
        """Pass parts of whole objects to `put`, several at once; yield each part once it and all earlier ones are done.

        size_bytes: virtual size. put: called from several threads until the generator is closed.
        """
        with ThreadPoolExecutor(programs(), thread_name_prefix="qemu") as pool:
            try:
                yield from pool.map(partial(self._copy_objects, size_bytes, put), parts)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _copy_objects(self, size_bytes: int, put: Put, part: Part) -> Part:
        objects = Objects(part, size_bytes, put)
        self.copy(part, objects)
        objects.finish()
        return part

    @contextmanager
    def _file(self, *targets: Taken) -> Iterator[Given]:
        """Serve the file; a failure at our end of a socket is raised instead of the program's resulting error."""
        file = Given(self._reader.again())
        try:
            yield file
        except ProgramFailed as failed:
            _end((file, *targets))
            raise ConversionFailed(self._format, "raw", failed.reason) from failed
        finally:
            _end((file, *targets))


class Objects:
    """Assembles objects from sequential bytes; gaps are zeros."""

    def __init__(self, part: Part, disk_bytes: int, put: Put) -> None:
        self._start, self.size_bytes = part[0], part[1] - part[0]
        self._disk_bytes, self._put = disk_bytes, put
        self._index, self._pieces, self._filled = 0, list[bytes | memoryview](), 0

    def take(self, offset: int, length: int, receive: Receive) -> None:
        """Take bytes, which may span several objects."""
        at = self._start + offset
        while length:
            index, inside = divmod(at, OBJECT_BYTES)
            self._turn_to(index, inside)
            count = min(length, OBJECT_BYTES - inside)
            self._pieces.append(receive(count))
            self._filled += count
            at, length = at + count, length - count

    def take_zeros(self, _offset: int, _length: int) -> None:
        """Do nothing: gaps in an object are zeros already."""

    def finish(self) -> None:
        """Hand over the last object."""
        if self._pieces:
            self._fill_to(object_length(self._disk_bytes, self._index))
            self._put(self._index, b"".join(self._pieces))
            self._pieces, self._filled = [], 0

    def _turn_to(self, index: int, inside: int) -> None:
        if (index, inside) < (self._index, self._filled):
            raise ConversionFailed("the image", "raw", "qemu-img did not write in order")
        if index > self._index:
            self.finish()
            self._index = index
        self._fill_to(inside)

    def _fill_to(self, inside: int) -> None:
        self._pieces.append(memoryview(ZEROS)[: inside - self._filled])
        self._filled = inside


def _end(ends: Sequence[Served]) -> None:
    """Close all sockets, then raise the first failure."""
    failures = [failure for end in ends if (failure := end.end()) is not None]
    for failure in failures:
        raise failure

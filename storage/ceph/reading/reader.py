"""Random access to a stored file; every object is proven before any of its bytes are returned."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from catalog.errors import DigestMismatch, ImageNotFound, ObjectMissing, StorageUnavailable
from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import (
    FINISHED_KEY,
    OBJECT_BYTES,
    UNFOLDED_KEY,
    ZEROS,
    Finished,
    Unfolded,
    object_count,
    object_length,
    row_of,
    zero_row,
)
from storage.ceph.object_reads import row_at, start_read
from storage.ceph.rbd_images import check_version, read_record
from storage.ceph.rows import read_rows

if TYPE_CHECKING:  # numpy is needed only for qcow2 files
    from storage.ceph.qcow2.placement import Placement

CACHED_OBJECTS = 8  # 32 MiB per reader
AHEAD = 3


class UnfoldedFile(NamedTuple):
    """Where the parts of an unfolded qcow2 file are."""

    base: int
    placement: "Placement"


class Content:
    """An open image whose rows were proven against their root."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        image: RbdImage,
        finished: Finished,
        rows: bytes,
        unfolded: "UnfoldedFile | None" = None,
    ) -> None:
        self.unfolded = unfolded
        self.connection, self.name, self.image, self.rows = connection, name, image, rows
        self.size_bytes = finished.size_bytes
        self.count = object_count(finished.size_bytes)

    def is_hole(self, index: int) -> bool:
        """Tell whether an object was all zeros when it was stored."""
        return row_at(self.rows, index) == zero_row(object_length(self.size_bytes, index))

    def start_read(self, index: int, length: int) -> Future[bytes]:
        """Start reading an object, not proven yet."""
        storage, unfolded = self.connection.storage, self.unfolded
        if unfolded is None:
            return start_read(storage, self.image, index * OBJECT_BYTES, length)
        from storage.ceph.qcow2.view import start_view

        return start_view(storage, self.image, unfolded.base, unfolded.placement, index, length)

    def close(self) -> None:
        """Close the image and leave the cluster."""
        self.connection.close()


def open_content(connection: Connection, name: str, snapshot: str | None, subject: str) -> Content:
    """Open a finished image; the result owns the connection, which is closed if this fails.

    Raises ImageNotFound if there is none or it is not finished, DigestMismatch if its rows are damaged.
    """
    try:
        image = connection.image(name, snapshot)
        if image is None:
            raise ImageNotFound(subject)
        return _proven(connection, name, image, subject)
    except BaseException:
        connection.close()
        raise


def _proven(connection: Connection, name: str, image: RbdImage, subject: str) -> Content:
    with translated(connection.storage, "opening", subject):
        check_version(connection.storage, image, name)
        finished = read_record(image, FINISHED_KEY, Finished)
        if finished is None:
            raise ImageNotFound(subject)
        count = object_count(finished.size_bytes)
        rows = read_rows(connection, image.id(), count, finished.first_piece)
        unfolded = _unfolded(image, finished)
    if not rows and finished.size_bytes:
        raise ObjectMissing(f"the digests of {name}")
    root = blake3(rows).hexdigest()
    if root != finished.root:
        raise DigestMismatch(f"the digests of {name}", finished.root, root)
    return Content(connection, name, image, finished, rows, unfolded)


def _unfolded(image: RbdImage, finished: Finished) -> UnfoldedFile | None:
    record = None if finished.first_piece else read_record(image, UNFOLDED_KEY, Unfolded)
    if record is None:
        return None
    from storage.ceph.qcow2.view import read_placement

    placement = read_placement(image, record.base, finished.size_bytes)
    return None if placement is None else UnfoldedFile(record.base, placement)


class CephReader:
    """A stored file. Thread-safe, without a position; reads ahead when read in order."""

    def __init__(self, content: Content, wait_s: float) -> None:
        self._content, self._wait_s = content, wait_s
        self.size_bytes = content.size_bytes
        self._lock = threading.Lock()
        self._objects: OrderedDict[int, Future[bytes]] = OrderedDict()  # being read, or read and not yet proven
        self._last = -1

    @property
    def placement(self) -> "Placement | None":
        """The moved clusters of an unfolded qcow2 file; None for every other file."""
        return self._content.unfolded.placement if self._content.unfolded else None

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, StorageUnavailable."""
        end = min(offset + size, self.size_bytes)
        parts = []
        while offset < end:
            index, inside = divmod(offset, OBJECT_BYTES)
            part = self._object(index)[inside : inside + end - offset]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole) over the whole file in order, in whole objects; holes read as zeros."""
        start, kind = 0, False
        for index in range(self._content.count):
            hole = self._content.is_hole(index)
            if index and hole != kind:
                yield start, index * OBJECT_BYTES, kind
                start = index * OBJECT_BYTES
            kind = hole
        if self.size_bytes:
            yield start, self.size_bytes, kind

    def again(self) -> "CephReader":
        """Return another reader of the same open file, for concurrent reads elsewhere; it needs no closing."""
        return CephReader(self._content, self._wait_s)

    def close(self) -> None:
        """Release the image and its connection; no more reads are possible."""
        self._content.close()

    def _object(self, index: int) -> bytes:
        if self._content.is_hole(index):
            length = object_length(self.size_bytes, index)
            return ZEROS if length == OBJECT_BYTES else ZEROS[:length]
        try:
            data = self._reading(index).result(timeout=self._wait_s)
        except TimeoutError:
            raise StorageUnavailable(self._content.connection.storage, "reading got no answer in time") from None
        return data

    def _reading(self, index: int) -> "Future[bytes]":
        with self._lock:
            in_order, self._last = index == self._last + 1, index
            wanted = self._start(index)
            if in_order:
                for ahead in range(index + 1, min(index + 1 + AHEAD, self._content.count)):
                    if not self._content.is_hole(ahead):
                        self._start(ahead)
            while len(self._objects) > CACHED_OBJECTS:
                self._objects.popitem(last=False)
            return wanted

    def _start(self, index: int) -> "Future[bytes]":
        reading = self._objects.get(index)
        if reading is None or (reading.done() and reading.exception() is not None):
            reading = self._proving(index)
            self._objects[index] = reading
        self._objects.move_to_end(index)
        return reading

    def _proving(self, index: int) -> "Future[bytes]":
        """Start reading an object; the future fails with DigestMismatch if it is not what was stored."""
        content, proven = self._content, Future[bytes]()
        length = object_length(content.size_bytes, index)
        reading = content.start_read(index, length)

        def prove(read: "Future[bytes]") -> None:
            error = read.exception()
            if error is None:
                error = mismatch(content.name, index, row_at(content.rows, index), row_of(read.result()))
            if error is None:
                proven.set_result(read.result())
            else:
                proven.set_exception(error)

        reading.add_done_callback(prove)
        return proven


def mismatch(name: str, index: int, expected: bytes, actual: bytes) -> DigestMismatch | None:
    """Return the error for a damaged object, or None if it is sound."""
    if expected == actual:
        return None
    return DigestMismatch(
        f"{name} at byte {index * OBJECT_BYTES}", f"blake3:{expected.hex()}", f"blake3:{actual.hex()}"
    )


def open_reader(connection: Connection, name: str, snapshot: str | None, wait_s: float, subject: str) -> CephReader:
    """Open a finished image for reading; the reader owns the connection."""
    return CephReader(open_content(connection, name, snapshot, subject), wait_s)

"""Read an image's objects in order, several ahead, with proof of each."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from catalog.errors import StorageUnavailable
from storage.ceph.client.bindings import Completion, RbdImage
from storage.ceph.client.connection import fault, translated
from storage.ceph.layout import (
    OBJECT_BYTES,
    ROW_BYTES,
    ZERO_ROW,
    is_zero,
    object_count,
    object_length,
    row_of,
    zero_row,
)

READ_DEPTH = 8


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """One object that was read."""

    index: int
    data: bytes | None  # None: a hole, not read
    expected: bytes  # row
    actual: bytes

    @property
    def proven(self) -> bool:
        """Tell whether the bytes are those that were stored."""
        return self.expected == self.actual


def row_at(rows: bytes | bytearray, index: int) -> bytes:
    """Return the row of an object."""
    return bytes(rows[index * ROW_BYTES : (index + 1) * ROW_BYTES])


def read_objects(
    storage: str, image: RbdImage, rows: bytes, size_bytes: int, indexes: Iterable[int] | None = None, *, wait_s: float
) -> Iterator[ObjectRead]:
    """Read objects in order, several ahead, and tell for each whether it matches its row.

    indexes: all by default. Objects whose row is that of zeros are not read.
    """
    running: deque[tuple[int, Future[bytes] | None]] = deque()
    for index in range(object_count(size_bytes)) if indexes is None else indexes:
        length = object_length(size_bytes, index)
        hole = row_at(rows, index) == zero_row(length)
        running.append((index, None if hole else start_read(storage, image, index * OBJECT_BYTES, length)))
        if len(running) > READ_DEPTH:
            yield _finish_read(storage, rows, *running.popleft(), wait_s)
    while running:
        yield _finish_read(storage, rows, *running.popleft(), wait_s)


def read_object(storage: str, image: RbdImage, rows: bytes, size_bytes: int, index: int, wait_s: float) -> ObjectRead:
    """Read one object, whether its row is that of zeros or not."""
    reading = start_read(storage, image, index * OBJECT_BYTES, object_length(size_bytes, index))
    return _finish_read(storage, rows, index, reading, wait_s)


def start_read(storage: str, image: RbdImage, offset: int, length: int) -> Future[bytes]:
    """Start to read bytes of an image; the future is fulfilled by a thread of Ceph's."""
    future: Future[bytes] = Future()

    def done(completion: Completion, data: bytes | None) -> None:
        result = completion.get_return_value()
        if result < 0 or data is None:
            future.set_exception(fault(storage, "reading", result))
        else:
            future.set_result(data)

    with translated(storage, "reading"):
        image.aio_read(offset, length, done)
    return future


def _finish_read(storage: str, rows: bytes, index: int, reading: Future[bytes] | None, wait_s: float) -> ObjectRead:
    expected = row_at(rows, index)
    if reading is None:
        return ObjectRead(index, None, expected, expected)
    try:
        data = reading.result(timeout=wait_s)
    except TimeoutError:
        raise StorageUnavailable(storage, "reading got no answer in time") from None
    return ObjectRead(
        index, data, expected, ZERO_ROW if is_zero(memoryview(data)) and len(data) == OBJECT_BYTES else row_of(data)
    )

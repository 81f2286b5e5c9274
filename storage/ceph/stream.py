"""Objects of an image in order, several in flight: writing them with their digest rows, reading them with proof."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from catalog.errors import StorageUnavailable
from storage.ceph.bindings import Completion, RbdImage
from storage.ceph.connection import Connection, fault, translated
from storage.ceph.layout import (
    OBJECT_BYTES,
    ROW_BYTES,
    ZERO_ROW,
    ZEROS,
    data_runs,
    is_zero,
    object_count,
    object_length,
    row_of,
    rows_name,
    zero_row,
)
from storage.ceph.rows import pieces

DEPTH = 16  # operations in flight: at most 64 MiB
READ_DEPTH = 8
ZERO_ROWS_PENDING = 4096  # rows of holes wait for company: a sparse 8 TiB costs 512 writes, not 2 million


class InFlight:
    """A bounded number of running operations; the first failure is raised in the thread that starts more."""

    def __init__(self, storage: str, subject: str, wait_s: float) -> None:
        self._storage, self._subject, self._wait_s = storage, subject, wait_s
        self._slots = threading.Semaphore(DEPTH)
        self._failure = 0

    def enter(self) -> None:
        """Wait for a free slot."""
        if not self._slots.acquire(timeout=self._wait_s):
            raise StorageUnavailable(self._storage, "writing got no answer in time")
        if self._failure:
            self._slots.release()
            self._raise()

    def done(self, completion: Completion) -> None:
        """Note the end of an operation; called by Ceph's threads."""
        result = completion.get_return_value()
        if result < 0 and not self._failure:
            self._failure = result
        self._slots.release()

    def drain(self) -> None:
        """Wait until nothing is running."""
        for _ in range(DEPTH):
            if not self._slots.acquire(timeout=self._wait_s):
                raise StorageUnavailable(self._storage, "writing got no answer in time")
        self._slots.release(DEPTH)
        if self._failure:
            self._raise()

    def _raise(self) -> None:
        raise fault(self._storage, "writing", self._failure, self._subject)


class Kept(NamedTuple):
    """What a landing holds durably."""

    rows: bytes = b""  # of its full objects
    tail: bytes = b""  # what comes after them
    stored_bytes: int = 0  # not counting holes, nor the tail, which is written again with its object

    @property
    def size_bytes(self) -> int:
        """Length of the file so far."""
        return len(self.rows) // ROW_BYTES * OBJECT_BYTES + len(self.tail)


class StreamWriter:
    """Takes a file in order and writes it as objects, zero cells left out, each object's row going with it.

    Rows and objects are acknowledged independently: a row proves its object whenever it is read back, so after a death the longest
    prefix that proves itself is what was kept, and no journal of offsets has to be written and waited for.
    """

    def __init__(
        self, connection: Connection, image: RbdImage, subject: str, kept: "Kept", wait_s: float
    ) -> None:
        self._pool, self._image, self._rbd_id = connection.pool, image, image.id()
        self._storage, self._subject = connection.storage, subject
        self._rows = bytearray(kept.rows)
        self._rows_sent = len(kept.rows)
        self._buffer = bytearray(kept.tail)
        self._capacity = image.size()
        self._flight = InFlight(connection.storage, subject, wait_s)
        self.stored_bytes = kept.stored_bytes
        self.size_bytes = kept.size_bytes

    @property
    def tail(self) -> bytes:
        """What was taken of the object that is not full yet."""
        return bytes(self._buffer)

    @property
    def full_objects(self) -> int:
        """How many objects are full."""
        return len(self._rows) // ROW_BYTES

    def write(self, block: memoryview) -> None:
        """Take the next bytes."""
        self.size_bytes += len(block)
        while block:
            if not self._buffer and len(block) >= OBJECT_BYTES:
                self._put(block[:OBJECT_BYTES])
                block = block[OBJECT_BYTES:]
                continue
            room = OBJECT_BYTES - len(self._buffer)
            self._buffer += block[:room]
            block = block[room:]
            if len(self._buffer) == OBJECT_BYTES:
                full, self._buffer = self._buffer, bytearray()
                self._put(memoryview(full))

    def write_zeros(self, length: int) -> None:
        """Take a run of zeros; whole objects of them cost a row and nothing else."""
        head = min(length, -len(self._buffer) % OBJECT_BYTES)
        self.write(memoryview(ZEROS)[:head])
        count, rest = divmod(length - head, OBJECT_BYTES)
        self._rows += ZERO_ROW * count
        self.size_bytes += count * OBJECT_BYTES
        self.write(memoryview(ZEROS)[:rest])

    def drain(self) -> None:
        """Make all full objects and their rows durable."""
        self._send_rows()
        self._flight.drain()

    def keep_tail(self) -> None:
        """Make everything durable, the bytes of the last, unfinished object too; its row is not recorded yet."""
        if self._buffer:
            self._put_data(memoryview(bytes(self._buffer)), self.full_objects)
        self.drain()

    def end(self) -> bytes:
        """Write the last object with its row, make everything durable, return all rows."""
        if self._buffer:
            tail, self._buffer = self._buffer, bytearray()
            self._put(memoryview(tail))
        self.drain()
        return bytes(self._rows)

    def _put(self, block: memoryview) -> None:
        index, hole = len(self._rows) // ROW_BYTES, is_zero(block)
        self._rows += zero_row(len(block)) if hole else row_of(block)
        pending = (len(self._rows) - self._rows_sent) // ROW_BYTES
        if not hole or pending >= ZERO_ROWS_PENDING:
            self._send_rows()
        if not hole:
            self._put_data(block, index)

    def _put_data(self, block: memoryview, index: int) -> None:
        start = index * OBJECT_BYTES
        self._grow(start + len(block))
        for first, last in data_runs(block):
            self._flight.enter()
            with translated(self._storage, "writing", self._subject):
                self._image.aio_write(bytes(block[first:last]), start + first, self._flight.done)
            self.stored_bytes += last - first

    def _send_rows(self) -> None:
        fresh = bytes(self._rows[self._rows_sent :])
        for piece, offset, rows in pieces(self._rows_sent // ROW_BYTES, fresh):
            self._flight.enter()
            with translated(self._storage, "writing digests", self._subject):
                self._pool.aio_write(rows_name(self._rbd_id, piece), rows, offset, self._flight.done)
        self._rows_sent = len(self._rows)

    def _grow(self, end: int) -> None:
        """Make the image larger for a source of unknown size: by half, so that growing is rare."""
        if end > self._capacity:
            self._capacity = max(end, self._capacity * 3 // 2, 64 * OBJECT_BYTES)
            with translated(self._storage, "growing the landing", self._subject):
                self._image.resize(self._capacity)


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """One object as it was read."""

    index: int
    data: bytes | None  # None: a hole, not read
    expected: bytes  # row
    actual: bytes

    @property
    def proven(self) -> bool:
        """Tell whether the bytes are those that were stored."""
        return self.expected == self.actual


def row_at(rows: bytes, index: int) -> bytes:
    """Return the row of an object."""
    return rows[index * ROW_BYTES : (index + 1) * ROW_BYTES]


def read_objects(
    storage: str,
    image: RbdImage,
    rows: bytes,
    size_bytes: int,
    indexes: Iterable[int] | None = None,
    *,
    wait_s: float,
) -> Iterator[ObjectRead]:
    """Read objects in order, several ahead, and say for each whether it is what its row says.

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


def read_object(
    storage: str, image: RbdImage, rows: bytes, size_bytes: int, index: int, wait_s: float
) -> ObjectRead:
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


def _finish_read(
    storage: str, rows: bytes, index: int, reading: Future[bytes] | None, wait_s: float
) -> ObjectRead:
    expected = row_at(rows, index)
    if reading is None:
        return ObjectRead(index, None, expected, expected)
    try:
        data = reading.result(timeout=wait_s)
    except TimeoutError:
        raise StorageUnavailable(storage, "reading got no answer in time") from None
    return ObjectRead(
        index,
        data,
        expected,
        ZERO_ROW if is_zero(memoryview(data)) and len(data) == OBJECT_BYTES else row_of(data),
    )

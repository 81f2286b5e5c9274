"""Write a file as objects in order, several in flight, with their digest rows."""

from typing import TYPE_CHECKING

from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.client.in_flight import InFlight
from storage.ceph.layout import (
    OBJECT_BYTES,
    QCOW2_MAGIC,
    ROW_BYTES,
    ZERO_ROW,
    ZEROS,
    bytes_of,
    data_runs,
    is_zero,
    row_of,
    rows_name,
    zero_row,
)
from storage.ceph.rows import KeptPrefix, pieces

if TYPE_CHECKING:
    from storage.ceph.qcow2.guest_disk import GuestDisk


ZERO_ROWS_PENDING = 4096  # rows of holes are batched: a sparse 8 TiB costs 512 writes, not 2 million


class StreamWriter:
    """Takes a file in order and writes it as objects without their zero cells, each with its row.

    Rows and objects are acknowledged independently. A row proves its object whenever it is read back, so after a death
    the kept part is the longest prefix that proves itself; no journal of offsets has to be written and waited for.
    """

    def __init__(
        self,
        connection: Connection,
        image: RbdImage,
        subject: str,
        kept: "KeptPrefix",
        wait_s: float,
        disk: "GuestDisk | None" = None,
    ) -> None:
        self._pool, self._image, self._rbd_id = connection.pool, image, image.id()
        self._storage, self._subject = connection.storage, subject
        self._rows = bytearray(kept.rows)
        self._rows_sent = len(kept.rows)
        self._pieces: list[bytes | memoryview] = [kept.tail] if kept.tail else []
        self._held = len(kept.tail)  # bytes in the pieces of the incomplete object
        self._capacity = image.size()
        self._flight = InFlight(connection.storage, subject, wait_s)
        self.disk = disk  # takes the clusters of a qcow2 file
        self.stored_bytes = kept.stored_bytes
        self.size_bytes = kept.size_bytes

    @property
    def tail(self) -> bytes:
        """The bytes taken of the incomplete object."""
        return b"".join(self._pieces)

    @property
    def full_objects(self) -> int:
        """The number of full objects."""
        return len(self._rows) // ROW_BYTES

    def write(self, block: memoryview) -> None:
        """Take the next bytes."""
        self.size_bytes += len(block)
        while block:
            room = OBJECT_BYTES - self._held
            self._pieces.append(block[:room])
            self._held += min(room, len(block))
            block = block[room:]
            if self._held == OBJECT_BYTES:
                self._put(self._taken())

    def write_zeros(self, length: int) -> None:
        """Take a run of zeros; whole objects of zeros cost only a row."""
        head = min(length, -self._held % OBJECT_BYTES)
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
        """Make everything durable, including the last, incomplete object, whose row is not recorded yet."""
        if self.disk is not None:
            self.disk.flush(self.write_at)
        tail = memoryview(self.tail)
        if tail and (self._rows or tail[:4] != QCOW2_MAGIC):
            self._put_runs(tail, self._base + self.full_objects * OBJECT_BYTES, data_runs(tail))
        self.drain()

    def end(self) -> bytes:
        """Write the last object with its row, make everything durable, and return all rows."""
        if self._held:
            self._put(self._taken())
        if self.disk is not None:
            self.disk.flush(self.write_at)
        self.drain()
        return bytes(self._rows)

    def _taken(self) -> memoryview:
        """Return the bytes taken of an object in one piece, and begin the next object."""
        pieces, self._pieces, self._held = self._pieces, [], 0
        return memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _put(self, block: memoryview) -> None:
        if not self._rows and block[:4] == QCOW2_MAGIC:
            self._unfold(block)
        index, hole = len(self._rows) // ROW_BYTES, is_zero(block)
        self._rows += zero_row(len(block)) if hole else row_of(block)
        pending = (len(self._rows) - self._rows_sent) // ROW_BYTES
        if not hole or pending >= ZERO_ROWS_PENDING:
            self._send_rows()
        if not hole or self.disk is not None:
            self._put_data(block, index)

    def _unfold(self, head: memoryview) -> None:
        """Unfold a qcow2 file from now on, if it can be."""
        from storage.ceph.qcow2 import landing

        with translated(self._storage, "preparing the landing", self._subject):
            self.disk = landing.begin(self._image, head)
            self._capacity = self._image.size()

    @property
    def _base(self) -> int:
        return 0 if self.disk is None else self.disk.base

    def _put_data(self, block: memoryview, index: int) -> None:
        runs = data_runs(block)
        if self.disk is not None:
            runs = self.disk.take(index, block, runs, self.write_at)
        self._put_runs(block, self._base + index * OBJECT_BYTES, runs)

    def _put_runs(self, block: memoryview, start: int, runs: list[tuple[int, int]]) -> None:
        self._grow(start + len(block))
        for first, last in runs:
            self.write_at(start + first, bytes_of(block, first, last))
            self.stored_bytes += last - first

    def write_at(self, offset: int, data: bytes) -> None:
        """Write bytes of the image as soon as a slot is free."""
        with translated(self._storage, "writing", self._subject):
            self._flight.write(self._image, offset, data)

    def _send_rows(self) -> None:
        fresh = bytes(self._rows[self._rows_sent :])
        for piece, offset, rows in pieces(self._rows_sent // ROW_BYTES, fresh):
            self._flight.enter()
            with translated(self._storage, "writing digests", self._subject):
                self._pool.aio_write(rows_name(self._rbd_id, piece), rows, offset, self._flight.done)
        self._rows_sent = len(self._rows)

    def _grow(self, end: int) -> None:
        """Enlarge the image for a source of unknown size: by half, so that it happens rarely."""
        if end > self._capacity:
            self._capacity = max(end, self._capacity * 3 // 2, 64 * OBJECT_BYTES)
            with translated(self._storage, "growing the landing", self._subject):
                self._image.resize(self._capacity)

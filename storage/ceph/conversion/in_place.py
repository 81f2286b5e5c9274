"""Conversion of an unfolded qcow2 landing to raw: the disk is already there, only unmoved parts are copied into it.

The commit is one record: after it the landing's digests are those of the disk. The rest of the file stays behind the
disk until the image is published, so an add that dies before then reads the file back instead of fetching it again.
"""

from contextlib import closing
from threading import Lock

from blake3 import blake3

from catalog.errors import StaleLanding
from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.client.in_flight import InFlight
from storage.ceph.conversion import proof
from storage.ceph.conversion.qemu_disk import Part, QemuDisk, programs
from storage.ceph.layout import (
    DISK_PIECE,
    FINISHED_KEY,
    OBJECT_BYTES,
    ROW_BYTES,
    UNFOLDED_KEY,
    Finished,
    Unfolded,
    bytes_of,
    data_runs,
    object_count,
    row_of,
    zero_row,
)
from storage.ceph.object_reads import row_at
from storage.ceph.qcow2.placement import Placement
from storage.ceph.rbd_images import read_record
from storage.ceph.reading.reader import CephReader
from storage.ceph.rows import read_rows, write_rows
from storage.ceph.writing.landing import CephLanding
from storage.protocols import Progress


def convert(source: CephLanding, wait_s: float, progress: Progress) -> Finished:
    """Make the landing raw under its present name. Safe to repeat at every point.

    Raises ConversionFailed, MissingProgram.
    """
    with closing(source):
        connection, image = source.exclusive()
        with translated(connection.storage, "converting", source.landing_id):
            finished = read_record(image, FINISHED_KEY, Finished)
            if finished is None:
                raise StaleLanding(source.landing_id)
            if not finished.first_piece:
                finished = _Conversion(source, connection, image, wait_s).run(progress)
                image.metadata_set(FINISHED_KEY, finished.model_dump_json())
    return finished


class _Conversion:
    """One attempt: prove the moved parts, copy the unmoved ones, and build the record that commits the conversion."""

    def __init__(self, source: CephLanding, connection: Connection, image: RbdImage, wait_s: float) -> None:
        self._source, self._connection, self._image = source, connection, image
        self._flight = InFlight(connection.storage, source.landing_id, wait_s)
        record = read_record(image, UNFOLDED_KEY, Unfolded)
        if record is None:
            raise StaleLanding(source.landing_id)
        self._unfolded = record
        count = object_count(record.disk_bytes)
        self._rows = bytearray(read_rows(connection, image.id(), count, DISK_PIECE))
        self._stored: dict[int, int] = {}  # bytes by object, of unfinished parts
        self._lock = Lock()

    def run(self, progress: Progress) -> Finished:
        with closing(self._source.open()) as reader:
            if reader.placement is None:
                raise StaleLanding(self._source.landing_id)
            self._copy(reader, reader.placement, progress)
        return Finished(
            size_bytes=self._unfolded.disk_bytes,
            stored_bytes=self._unfolded.stored_bytes,
            root=blake3(self._rows).hexdigest(),
            first_piece=DISK_PIECE,
        )

    def _copy(self, reader: CephReader, placement: Placement, progress: Progress) -> None:
        disk, size = QemuDisk(reader, "qcow2"), self._unfolded.disk_bytes
        extents = disk.extents(size)
        found = proof.sort_out(extents, placement, reader.size_bytes)
        proof.prove(extents, found, placement, reader.size_bytes)
        parts = proof.parts_to_copy(found, size, programs())
        parts = [part for part in parts if part[1] > self._unfolded.copied]
        with closing(disk.copy_objects(parts, size, self._put)) as copies:
            for part in copies:
                self._keep(part)
                progress(part[1], size)
        progress(size, size)

    def _put(self, index: int, data: bytes) -> None:
        """Write one whole object of the disk, unless it is there."""
        block = memoryview(data)
        row, runs = row_of(block), data_runs(block)
        with self._lock:
            before = row_at(self._rows, index)
            if before == row:
                return
            self._rows[index * ROW_BYTES : (index + 1) * ROW_BYTES] = row
            if before == zero_row(len(block)):
                self._stored[index] = sum(last - first for first, last in runs)
        for first, last in runs:
            self._flight.write(self._image, index * OBJECT_BYTES + first, bytes_of(block, first, last))

    def _keep(self, part: Part) -> None:
        """Make a part durable and record that later attempts need not copy it."""
        self._flight.drain()
        first, last = part[0] // OBJECT_BYTES, object_count(part[1])
        with self._lock:
            rows = bytes(self._rows[first * ROW_BYTES : last * ROW_BYTES])
            stored = sum(self._stored.pop(index, 0) for index in range(first, last))
        write_rows(self._connection, self._image.id(), rows, DISK_PIECE, first)
        kept = {"copied": part[1], "stored_bytes": self._unfolded.stored_bytes + stored}
        self._unfolded = self._unfolded.model_copy(update=kept)
        self._image.metadata_set(UNFOLDED_KEY, self._unfolded.model_dump_json())

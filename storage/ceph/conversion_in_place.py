"""From an unfolded qcow2 landing to a raw one: the disk is there already, only what was not moved is copied into it.

The commit is one record: from then on the landing's digests are those of the disk. What lies behind it is cut off after.
"""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from blake3 import blake3

from catalog.errors import ConversionFailed, StaleLanding
from storage.ceph.bindings import RbdImage
from storage.ceph.connection import Connection, translated
from storage.ceph.flight import InFlight
from storage.ceph.images import read_record
from storage.ceph.landing import CephLanding
from storage.ceph.layout import (
    DISK_PIECE,
    FINISHED_KEY,
    OBJECT_BYTES,
    ROW_BYTES,
    UNFOLDED_KEY,
    Finished,
    Unfolded,
    data_runs,
    object_count,
    object_length,
    row_of,
    zero_row,
)
from storage.ceph.placement import Placement
from storage.ceph.proof import Before, Prover
from storage.ceph.reader import CephReader
from storage.ceph.reading import row_at
from storage.ceph.rows import read_rows, write_rows
from storage.formats.disk import MalformedDisk
from storage.formats.qcow2_disk import Qcow2Disk
from storage.protocols import Progress


def convert(source: CephLanding, prover: Prover, wait_s: float, progress: Progress) -> Finished:
    """Make the landing raw, under the name that it has. Safe to repeat at every point. Raises ConversionFailed."""
    with closing(source):
        connection, image = source.exclusive()
        with translated(connection.storage, "converting", source.landing_id):
            finished = read_record(image, FINISHED_KEY, Finished)
            if finished is None:
                raise StaleLanding(source.landing_id)
            if not finished.first_piece:
                finished = _Conversion(source, connection, image, wait_s).run(prover, progress)
                image.metadata_set(FINISHED_KEY, finished.model_dump_json())
            image.resize(finished.size_bytes)
    return finished


class _Conversion:
    """One attempt: what was not moved is copied, everything is proven, the record that commits it is made."""

    def __init__(self, source: CephLanding, connection: Connection, image: RbdImage, wait_s: float) -> None:
        self._source, self._connection, self._image = source, connection, image
        self._flight = InFlight(connection.storage, source.landing_id, wait_s)
        record = read_record(image, UNFOLDED_KEY, Unfolded)
        if record is None:
            raise StaleLanding(source.landing_id)
        self._unfolded = record
        count = object_count(record.disk_bytes)
        self._rows = bytearray(read_rows(connection, image.id(), count, DISK_PIECE))
        self._stored_bytes = record.stored_bytes

    def run(self, prover: Prover, progress: Progress) -> Finished:
        with closing(self._source.open()) as reader:
            placement = reader.placement
            if placement is None:
                raise StaleLanding(self._source.landing_id)
            self._copy(reader, placement, progress)
            self._prove(prover, placement, reader.size_bytes, progress)
        return Finished(
            size_bytes=self._unfolded.disk_bytes,
            stored_bytes=self._stored_bytes,
            root=blake3(self._rows).hexdigest(),
            first_piece=DISK_PIECE,
        )

    def _copy(self, reader: CephReader, placement: Placement, progress: Progress) -> None:
        try:
            disk = Qcow2Disk(reader)
            for index in _unmoved(disk, placement, reader.size_bytes):
                self._put(index, disk.read_at(index * OBJECT_BYTES, OBJECT_BYTES))
                progress(min((index + 1) * OBJECT_BYTES, disk.size_bytes), 2 * disk.size_bytes)
        except MalformedDisk as error:
            raise ConversionFailed("qcow2", "raw", str(error)) from error
        self._flight.drain()
        write_rows(self._connection, self._image.id(), bytes(self._rows), DISK_PIECE)

    def _put(self, index: int, data: bytes) -> None:
        """Write one object of the disk whole."""
        block = memoryview(data)
        was_hole = row_at(self._rows, index) == zero_row(len(data))
        self._rows[index * ROW_BYTES : (index + 1) * ROW_BYTES] = row_of(block)
        for first, last in data_runs(block):
            self._flight.enter()
            self._image.aio_write(bytes(block[first:last]), index * OBJECT_BYTES + first, self._flight.done)
            self._stored_bytes += last - first if was_hole else 0

    def _prove(self, prover: Prover, placement: Placement, file_bytes: int, progress: Progress) -> None:
        def split(host: int, guest: int, length: int) -> list[tuple[int, int, bool]]:
            return placement.split(host, guest, length, file_bytes)

        before = Before(self._source.name, "qcow2", self._unfolded.base, split)
        prover.prove(before, self._source.name, self._objects(), self._unfolded.disk_bytes, progress)

    def _objects(self) -> Iterator[tuple[int, int, bool]]:
        size = self._unfolded.disk_bytes
        for index in range(object_count(size)):
            length = object_length(size, index)
            hole = row_at(self._rows, index) == zero_row(length)
            yield index * OBJECT_BYTES, index * OBJECT_BYTES + length, hole


def _unmoved(disk: Qcow2Disk, placement: Placement, file_bytes: int) -> Iterator[int]:
    """Yield the objects of the disk that have a cluster which was not moved into it."""
    size = placement.cluster_bytes
    unmoved = np.flatnonzero(~placement.moved_guest_clusters(file_bytes))
    offset = 0
    while offset < disk.size_bytes:
        position = int(np.searchsorted(unmoved, offset // size))
        if position == len(unmoved):
            return
        offset = max(offset, int(unmoved[position]) * size)
        hole = disk.hole_end(offset)
        if hole > offset:
            offset = hole
        else:
            yield offset // OBJECT_BYTES
            offset = (offset // OBJECT_BYTES + 1) * OBJECT_BYTES

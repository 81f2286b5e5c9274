"""Unfolded qcow2 landings: begin, resume, complete them, and read them back as the original file.

The image of such a landing has two parts: bytes [0, base) are the guest's disk; the rest of the file starts at `base`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import (
    DISK_PIECE,
    FINISHED_KEY,
    OBJECT_BYTES,
    ROW_BYTES,
    TAIL_KEY,
    UNFOLDED_KEY,
    Finished,
    Tail,
    Unfolded,
    data_runs,
    object_count,
    object_length,
    row_of,
    zero_row,
)
from storage.ceph.object_reads import read_objects, row_at
from storage.ceph.qcow2.guest_disk import GuestDisk
from storage.ceph.qcow2.placement import Placement, unfoldable
from storage.ceph.qcow2.view import placement_of, read_in_place, read_placement
from storage.ceph.rbd_images import read_record, written_objects
from storage.ceph.rows import KeptPrefix, cut_rows, read_rows, write_rows

Feed = Callable[[memoryview], None]


class Resumed(NamedTuple):
    """The kept prefix of an unfolded landing, and its resumed disk; no disk if nothing was kept."""

    kept: KeptPrefix
    disk: GuestDisk | None


def begin(image: RbdImage, head: memoryview) -> GuestDisk | None:
    """Decide by a file's first object whether to unfold it; if so, make room for the disk before it."""
    header = unfoldable(head)
    if header is None:
        return None
    base = object_count(header.size_bytes) * OBJECT_BYTES
    unfolded = Unfolded(base=base, disk_bytes=header.size_bytes)
    image.metadata_set(UNFOLDED_KEY, unfolded.model_dump_json())
    image.resize(base + image.size())
    return GuestDisk(Placement(header), base)


def complete(connection: Connection, image: RbdImage, disk: GuestDisk, wait_s: float) -> None:
    """Record the digests of the disk, which is written and durable."""
    rows = bytearray(zero_row(OBJECT_BYTES) * (disk.object_count - 1))
    rows += zero_row(object_length(disk.size_bytes, disk.object_count - 1))
    for index, row in disk.rows.items():
        rows[index * ROW_BYTES : (index + 1) * ROW_BYTES] = row
    unknown = bytes(len(rows))
    for read in read_objects(connection.storage, image, unknown, disk.size_bytes, sorted(disk.torn), wait_s=wait_s):
        rows[read.index * ROW_BYTES : (read.index + 1) * ROW_BYTES] = read.actual
    write_rows(connection, image.id(), bytes(rows), DISK_PIECE)
    unfolded = Unfolded(base=disk.base, disk_bytes=disk.size_bytes, stored_bytes=disk.stored_bytes)
    image.metadata_set(UNFOLDED_KEY, unfolded.model_dump_json())


def restore(connection: Connection, image: RbdImage, unfolded: Unfolded, feed: Feed) -> Resumed:
    """Read back and prove what was kept of the file, feed it in order, and cut off the rest of both parts."""
    with translated(connection.storage, "reading what was kept"):
        planned = _file_bytes(image, unfolded.base)
        kept = _read_kept(connection, image, unfolded.base, feed)
        image.resize(unfolded.base + kept.size_bytes if kept.rows else 0)
        cut_rows(connection, image.id(), len(kept.rows) // ROW_BYTES)
        if not kept.rows:
            image.metadata_remove(UNFOLDED_KEY)
            image.resize(planned)
            return Resumed(KeptPrefix(), None)
        image.resize(unfolded.base + max(planned, kept.size_bytes))
        disk = _resumed_disk(image, unfolded.base, len(kept.rows) // ROW_BYTES * OBJECT_BYTES)
    return Resumed(kept, disk)


def _file_bytes(image: RbdImage, base: int) -> int:
    """Return the room for the file behind the disk: 0 if a death came before the image was enlarged."""
    return max(0, image.size() - base)


def _read_kept(connection: Connection, image: RbdImage, base: int, feed: Feed) -> KeptPrefix:
    """Feed full objects that prove themselves, then the tail."""
    finished = read_record(image, FINISHED_KEY, Finished)
    if finished and finished.first_piece:
        # It became the disk; the file's length is the room behind the disk, 0 if that was cut off.
        finished = finished.model_copy(update={"size_bytes": _file_bytes(image, base)})
    size = finished.size_bytes if finished else _file_bytes(image, base)
    rows = read_rows(connection, image.id(), object_count(size))
    whole = min(len(rows) // ROW_BYTES, size // OBJECT_BYTES)
    count, stored, placement = 0, 0, None
    for index in range(whole):
        block = read_in_place(image, base, index, OBJECT_BYTES)
        placement = placement or placement_of(block)
        if placement is None or not _proven(image, placement, index, block, row_at(rows, index)):
            break
        stored += _bytes_in_place(placement, index, block)
        feed(block)
        count += 1
    kept = KeptPrefix(rows[: count * ROW_BYTES], b"", stored)
    if finished and count == whole and placement is not None:
        _keep_last(image, base, placement, finished.size_bytes, row_at(rows, count))
    if finished:
        image.metadata_remove(FINISHED_KEY)
    return kept._replace(tail=_read_tail(image, base, count, feed))


def _keep_last(image: RbdImage, base: int, placement: Placement, size_bytes: int, row: bytes) -> None:
    """Turn the last object of a finished file, if it is incomplete, into the tail of an unfinished one."""
    index, length = divmod(size_bytes, OBJECT_BYTES)
    if not length:
        return
    block = read_in_place(image, base, index, length)
    if _proven(image, placement, index, block, row):
        image.write(bytes(block), base + index * OBJECT_BYTES)
        image.metadata_set(TAIL_KEY, Tail(index=index, length=length, digest=row.hex()).model_dump_json())


def _read_tail(image: RbdImage, base: int, index: int, feed: Feed) -> bytes:
    tail = read_record(image, TAIL_KEY, Tail)
    if tail is None or tail.index != index or not tail.length or not index:
        return b""
    data = image.read(base + index * OBJECT_BYTES, tail.length)
    if row_of(data).hex() != tail.digest:
        return b""
    feed(memoryview(data))
    return data


def _proven(image: RbdImage, placement: Placement, index: int, block: memoryview, row: bytes) -> bool:
    """Complete a block with its moved clusters and tell whether it equals what arrived."""
    placement.feed(index, block)
    for start, end, guest in placement.moved(index, len(block)):
        block[start:end] = image.read(guest, end - start)
    return row_of(block) == row


def _bytes_in_place(placement: Placement, index: int, block: memoryview) -> int:
    moved = sum(end - start for start, end, _ in placement.moved(index, len(block)))
    return max(0, sum(end - start for start, end in data_runs(block)) - moved)


def _resumed_disk(image: RbdImage, base: int, kept_bytes: int) -> GuestDisk | None:
    """Clear from the disk what an attempt wrote past the kept bytes, and resume it."""
    placement = read_placement(image, base, kept_bytes)
    if placement is None:
        return None
    disk = GuestDisk(placement, base)
    covered = placement.moved_guest_clusters(kept_bytes)
    per_object = OBJECT_BYTES // placement.cluster_bytes
    for index in sorted(written_objects(image, base)):
        _clear(image, index, covered[index * per_object : (index + 1) * per_object], placement.cluster_bytes)
    touched = {int(index) for index in np.unique(np.flatnonzero(covered) // per_object)}
    disk.resumed(touched, int(covered.sum()) * placement.cluster_bytes)
    return disk


def _clear(image: RbdImage, index: int, covered: "np.ndarray[tuple[int], np.dtype[np.bool_]]", size: int) -> None:
    if covered.all():
        return
    bare = np.flatnonzero(~covered)
    for run in np.split(bare, np.flatnonzero(np.diff(bare) != 1) + 1):
        image.discard(index * OBJECT_BYTES + int(run[0]) * size, len(run) * size)

"""Find what a landing kept: the longest prefix that proves itself, however the last writer died."""

from collections.abc import Callable

from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import (
    FINISHED_KEY,
    OBJECT_BYTES,
    ROW_BYTES,
    TAIL_KEY,
    ZEROS,
    Finished,
    Tail,
    data_runs,
    row_of,
)
from storage.ceph.object_reads import read_objects, row_at
from storage.ceph.rbd_images import read_record
from storage.ceph.rows import KeptPrefix, cut_rows, read_rows
from storage.ceph.writing.stream_writer import StreamWriter

Feed = Callable[[memoryview], None]


def restore(connection: Connection, image: RbdImage, feed: Feed, wait_s: float) -> KeptPrefix:
    """Read back and prove what is there, feed it in order, and cut off everything after it.

    The cut resizes the image, so that the holes of the next attempt show nothing of the interrupted one.
    """
    with translated(connection.storage, "reading what was kept"):
        _begin_again(connection, image)
        planned = image.size()
        rows, stored_bytes = _feed_objects(connection, image, feed, wait_s)
        kept = KeptPrefix(rows, _feed_tail(image, len(rows) // ROW_BYTES, feed), stored_bytes)
        image.resize(kept.size_bytes)
        image.resize(max(planned, kept.size_bytes))
        cut_rows(connection, image.id(), len(rows) // ROW_BYTES)
    return kept


def keep_tail(storage: str, image: RbdImage, writer: StreamWriter) -> None:
    """Make durable all that a writer took, and record the digest of the incomplete last object."""
    writer.keep_tail()
    tail = Tail(index=writer.full_objects, length=len(writer.tail), digest=row_of(writer.tail).hex())
    with translated(storage, "keeping the landing"):
        image.metadata_set(TAIL_KEY, tail.model_dump_json())


def _begin_again(connection: Connection, image: RbdImage) -> None:
    """Turn a finished landing into an unfinished one that keeps all its bytes."""
    finished = read_record(image, FINISHED_KEY, Finished)
    if finished is None:
        return
    index, length = divmod(finished.size_bytes, OBJECT_BYTES)
    if length:
        row = row_at(read_rows(connection, image.id(), index + 1), index)
        tail = Tail(index=index, length=length, digest=row.hex())
        image.metadata_set(TAIL_KEY, tail.model_dump_json())
    image.metadata_remove(FINISHED_KEY)


def _feed_objects(connection: Connection, image: RbdImage, feed: Feed, wait_s: float) -> tuple[bytes, int]:
    """Feed full objects up to the first that does not prove itself; return their rows and their bytes without holes."""
    whole = image.size() // OBJECT_BYTES
    rows = read_rows(connection, image.id(), whole)
    count, stored = 0, 0
    size = len(rows) // ROW_BYTES * OBJECT_BYTES
    for found in read_objects(connection.storage, image, rows, size, wait_s=wait_s):
        if not found.proven:
            break
        block = memoryview(ZEROS if found.data is None else found.data)
        stored += 0 if found.data is None else sum(end - start for start, end in data_runs(block))
        feed(block)
        count += 1
    return rows[: count * ROW_BYTES], stored


def _feed_tail(image: RbdImage, index: int, feed: Feed) -> bytes:
    """Feed the bytes of an unfinished object, if a clean close kept them and they follow the proven ones."""
    tail = read_record(image, TAIL_KEY, Tail)
    if tail is None or tail.index != index or not tail.length:
        return b""
    data = image.read(index * OBJECT_BYTES, tail.length)
    if row_of(data).hex() != tail.digest:
        return b""
    feed(memoryview(data))
    return data

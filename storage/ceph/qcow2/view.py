"""A qcow2 file's bytes, read from the objects into which they were unfolded."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

from storage.ceph.client.bindings import RbdImage
from storage.ceph.layout import OBJECT_BYTES, object_count, object_length
from storage.ceph.object_reads import start_read
from storage.ceph.qcow2.placement import Moved, Placement, unfoldable


def read_placement(image: RbdImage, base: int, file_bytes: int) -> Placement | None:
    """Rebuild the placement from a file's tables, which are never moved."""

    def read(index: int) -> memoryview:
        return read_in_place(image, base, index, object_length(file_bytes, index))

    return learn(read, object_count(file_bytes))


def learn(read: Callable[[int], memoryview], count: int) -> Placement | None:
    """Feed a placement with the objects of a file that hold tables, in their order of arrival.

    read: returns an object as it lies in the image. Tables that arrived before they were known to be tables were not
    used then and are not used now: objects before the last one of the L1 table count only for that table.
    """
    header = unfoldable(read(0)) if count else None
    if header is None:
        return None
    placement = Placement(header)
    with_l1 = [index for index in placement.objects_with_tables() if index < count]
    for index in with_l1:
        placement.feed(index, read(index))
    for index in placement.objects_with_tables():
        if with_l1 and with_l1[-1] < index < count:
            placement.feed(index, read(index))
    return placement


def start_view(
    storage: str, image: RbdImage, base: int, placement: Placement, index: int, length: int
) -> "Future[bytes]":
    """Start reading an object of the file from both parts of the image."""
    moved = placement.moved(index, length)
    offset = base + index * OBJECT_BYTES
    if not moved:
        return start_read(storage, image, offset, length)
    pieces = [start_read(storage, image, place, size) for place, size in _segments(moved, offset, length)]
    return _joined(pieces)


def placement_of(head: memoryview) -> Placement | None:
    """Return the placement for a qcow2 file with this head, or None if it can't be unfolded."""
    header = unfoldable(head)
    return None if header is None else Placement(header)


def read_in_place(image: RbdImage, base: int, index: int, length: int) -> memoryview:
    """Read the part of a file's object that lies behind the disk; moved clusters read as zeros."""
    return memoryview(bytearray(image.read(base + index * OBJECT_BYTES, length)))


def _segments(moved: list[Moved], offset: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield (offset in the image, length) of the pieces of an object, in order."""
    at = 0
    for start, end, guest in moved:
        if start > at:
            yield offset + at, start - at
        yield guest, end - start
        at = end
    if at < length:
        yield offset + at, length - at


def _joined(pieces: "list[Future[bytes]]") -> "Future[bytes]":
    """Return one future of all pieces, fulfilled by the last one to arrive."""
    whole: Future[bytes] = Future()
    waiting = iter(pieces)

    def next_piece(_: "Future[bytes] | None") -> None:
        for piece in waiting:
            if not piece.done():
                piece.add_done_callback(next_piece)
                return
        failed = next((error for error in (piece.exception() for piece in pieces) if error), None)
        if failed is not None:
            whole.set_exception(failed)
        else:
            whole.set_result(b"".join(piece.result() for piece in pieces))

    next_piece(None)
    return whole

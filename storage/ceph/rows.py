"""Digest rows of an image: one BLAKE3 per 4 MiB object, kept beside it in the pool."""

from collections.abc import Iterator
from typing import NamedTuple

from storage.ceph.client.bindings import load
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import DISK_PIECE, OBJECT_BYTES, PIECE_ROWS, ROW_BYTES, UNRECORDED, rows_name

PIECE_BYTES = PIECE_ROWS * ROW_BYTES


def pieces(first: int, rows: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Cut rows, starting at object `first`, into (piece, byte offset in it, rows)."""
    start, position = first * ROW_BYTES, 0
    while position < len(rows):
        piece, offset = divmod(start + position, PIECE_BYTES)
        end = position + PIECE_BYTES - offset
        yield piece, offset, rows[position:end]
        position = end


def read_rows(connection: Connection, rbd_id: str, count: int, first_piece: int = 0) -> bytes:
    """Return the recorded rows of objects [0, count), up to the first one never recorded."""
    kept = bytearray()
    for piece in range(-(-count // PIECE_ROWS)):
        data = _read_piece(connection, rows_name(rbd_id, first_piece + piece))
        kept += data
        if len(data) < PIECE_BYTES:
            break
    return _recorded(bytes(kept[: count * ROW_BYTES]))


def write_rows(connection: Connection, rbd_id: str, rows: bytes, first_piece: int, first: int = 0) -> None:
    """Record the rows of the objects from `first` on, durably."""
    with translated(connection.storage, "writing digests"):
        for piece, offset, data in pieces(first, rows):
            connection.pool.write(rows_name(rbd_id, first_piece + piece), data, offset)


def cut_rows(connection: Connection, rbd_id: str, count: int) -> None:
    """Delete the rows of all objects from `count` on, so that a later attempt does not take them for its own."""
    piece, rest = divmod(count * ROW_BYTES, PIECE_BYTES)
    _remove_pieces(connection, rbd_id, piece + (rest > 0))
    _remove_pieces(connection, rbd_id, DISK_PIECE)
    name = rows_name(rbd_id, piece)
    with translated(connection.storage, "cutting digests"):
        if rest and connection.pool.stat(name)[0] > rest:
            connection.pool.trunc(name, rest)


def remove_rows(connection: Connection, rbd_id: str) -> None:
    """Delete all rows of an image."""
    _remove_pieces(connection, rbd_id, 0)
    _remove_pieces(connection, rbd_id, DISK_PIECE)


def _remove_pieces(connection: Connection, rbd_id: str, piece: int) -> None:
    """Delete all pieces from `piece` on; pieces are written in order, so the first gap ends them."""
    with translated(connection.storage, "removing digests"):
        try:
            while True:
                connection.pool.remove_object(rows_name(rbd_id, piece))
                piece += 1
        except load().rados.ObjectNotFound:
            return


def _read_piece(connection: Connection, name: str) -> bytes:
    with translated(connection.storage, "reading digests"):
        try:
            return connection.pool.read(name, PIECE_BYTES)
        except load().rados.ObjectNotFound:
            return b""


def _recorded(rows: bytes) -> bytes:
    """Cut at the first empty row; a torn row does not count."""
    whole = len(rows) - len(rows) % ROW_BYTES
    for start in range(0, whole, ROW_BYTES):
        if rows[start : start + ROW_BYTES] == UNRECORDED:
            return rows[:start]
    return rows[:whole]


class KeptPrefix(NamedTuple):
    """The part of a landing that is durable."""

    rows: bytes = b""  # of its full objects
    tail: bytes = b""  # the bytes after them
    stored_bytes: int = 0  # without holes and without the tail, which is written again with its object

    @property
    def size_bytes(self) -> int:
        """Length of the file so far."""
        return len(self.rows) // ROW_BYTES * OBJECT_BYTES + len(self.tail)

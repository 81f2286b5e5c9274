"""Pieces of a log as bytes: length u32, CRC-32 u32, data; little-endian. A torn piece ends the log."""

import struct
import zlib
from collections.abc import Iterator

HEAD = struct.Struct("<II")


def frame(data: bytes) -> bytes:
    """Wrap one piece."""
    return HEAD.pack(len(data), zlib.crc32(data)) + data


def frames(data: bytes) -> Iterator[bytes]:
    """Yield the whole pieces from the front."""
    at = 0
    while (piece := _piece_at(data, at)) is not None:
        yield piece
        at += HEAD.size + len(piece)


def whole_bytes(data: bytes) -> int:
    """Return how many bytes of the front are whole pieces."""
    return sum(HEAD.size + len(piece) for piece in frames(data))


def _piece_at(data: bytes, at: int) -> bytes | None:
    if at + HEAD.size > len(data):
        return None
    length, crc = HEAD.unpack_from(data, at)
    piece = data[at + HEAD.size : at + HEAD.size + length]
    return piece if len(piece) == length and zlib.crc32(piece) == crc else None

"""The memory a compressed member asks for: the window (zstd) or dictionary (xz, lzma) named in its first bytes.

RFC 8878 section 3.1.1.1; tukaani.org/xz/xz-file-format.txt sections 3.1 and 5.3.1; LZMA-alone: 0 properties 1, 1 dictionary 4.
"""

import struct
from collections.abc import Callable, Mapping

MAX_WINDOW = 256 << 20
"""`xz -9` needs 64 MiB, plain zstd 8, `zstd --long` 128; more is an attack on the worker, or an odd choice."""
START_BYTES = 64  # of a member, enough for all three
_LZMA2 = 0x21


def window_of(packing: str, start: bytes) -> int:
    """Return the bytes of memory that a member's head asks for, 0 if none or unreadable."""
    try:
        return _READERS[packing](start) if packing in _READERS else 0
    except (IndexError, struct.error):
        return 0


def _zstd(start: bytes) -> int:
    flags = start[4]
    if not flags & 0x20:
        base = 1 << (10 + (start[5] >> 3))
        return base + base // 8 * (start[5] & 7)
    at, size = 5 + (0, 1, 2, 4)[flags & 3], (1, 2, 4, 8)[flags >> 6]  # one segment: the window is the content
    return int.from_bytes(start[at : at + size], "little")


def _xz(start: bytes) -> int:
    filters, at = (start[13] & 3) + 1, 14
    for present in (0x40, 0x80):  # compressed and uncompressed size
        if start[13] & present:
            _, at = _number(start, at)
    for _ in range(filters):
        kind, at = _number(start, at)
        size, at = _number(start, at)
        if kind == _LZMA2:
            bits = start[at] & 0x3F
            return (2 | bits & 1) << (bits // 2 + 11)
        at += size
    return 0


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits per byte, and the offset after it."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _lzma(start: bytes) -> int:
    return int(struct.unpack_from("<I", start, 1)[0])


_READERS: Mapping[str, Callable[[bytes], int]] = {"zst": _zstd, "xz": _xz, "lzma": _lzma}

"""Streaming decoders behind one small protocol, chosen by the first bytes of a file.

Magic numbers: RFC 1952 (gzip), tukaani.org/xz/xz-file-format.txt, RFC 8878 (zstd and its skippable frames), bzip2's
"BZh". LZMA-alone has none: 0 properties 1   1 dictionary 4   5 unpacked size 8 or all ones   13 always zero, little-endian.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from storage.sources.packed.window_size import MAX_WINDOW

Packing = Literal["gz", "xz", "zst", "bz2", "lzma"]
HEAD_BYTES = 14
_XZ_MEMORY = MAX_WINDOW + (1 << 20)  # liblzma also counts its own needs


class Decoder(Protocol):
    """One compressed member; after its end, `unused_data` holds the bytes that follow."""

    @property
    def eof(self) -> bool:
        """Tell whether the member has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Tell whether more input is needed for more output."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the member."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take `data`, return at most `max_length` bytes."""
        ...


class ZlibDecoder:
    """zlib's decompressor with the interface of the others."""

    def __init__(self, wbits: int) -> None:
        """wbits: 31 for gzip, -15 for bare deflate."""
        self._zlib = zlib.decompressobj(wbits=wbits)

    @property
    def eof(self) -> bool:
        """Tell whether the member has ended."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """Tell whether more input is needed for more output."""
        return not self._zlib.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the member."""
        return self._zlib.unused_data

    _full = False

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take `data`, return at most `max_length` bytes."""
        tail = self._zlib.unconsumed_tail
        out = self._zlib.decompress(tail + data if tail else data, max_length)
        self._full = len(out) == max_length  # zlib may hold more output though it took all input
        return out


def gzip_decoder() -> Decoder:
    """Return a decoder of one gzip member."""
    return ZlibDecoder(31)


def deflate_decoder() -> Decoder:
    """Return a decoder of bare deflate, as in a zip."""
    return ZlibDecoder(-15)


def _zstd() -> Decoder:
    from backports.zstd import DecompressionParameter, ZstdDecompressor

    return ZstdDecompressor(options={DecompressionParameter.window_log_max: MAX_WINDOW.bit_length() - 1})


def _xz() -> Decoder:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _lzma() -> Decoder:
    return lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY)


DECODERS: Mapping[Packing, Callable[[], Decoder]] = {
    "gz": gzip_decoder,
    "xz": _xz,
    "zst": _zstd,
    "bz2": bz2.BZ2Decompressor,
    "lzma": _lzma,
}
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAGIC: Mapping[bytes, Packing] = {b"\x1f\x8b\x08": "gz", b"\xfd7zXZ\x00": "xz", _ZSTD: "zst", b"BZh": "bz2"}
_MAX_LZMA_SIZE = 1 << 38  # as xz itself decides whether a file can be LZMA


def packing_of(head: bytes | bytearray) -> Packing | None:
    """Return how a file is compressed, from its first HEAD_BYTES or more; None if it is not."""
    for magic, packing in _MAGIC.items():
        if head.startswith(magic):
            return packing if packing != "bz2" or head[3:4] in b"123456789" else None
    if _begins_with_skipped_frame(head):
        return "zst"
    return "lzma" if _is_lzma(head) else None


def is_torn_head(head: bytes, packing: Packing) -> bool:
    """Tell whether a file ends within the first bytes of another member."""
    return any(magic.startswith(head) for magic, known in _MAGIC.items() if known == packing and magic != head)


def _begins_with_skipped_frame(head: bytes | bytearray) -> bool:
    """Tell whether frames that zstd skips come first (pzstd's sizes, say), and its data after them where `head` shows it."""
    at, found = 0, False
    while len(head) >= at + 8 and head[at + 1 : at + 4] == b"\x2a\x4d\x18" and head[at] & 0xF0 == 0x50:
        at, found = at + 8 + int(struct.unpack_from("<I", head, at + 4)[0]), True
    return found and _ZSTD.startswith(head[at : at + 4])


def _is_lzma(head: bytes | bytearray) -> bool:
    if len(head) < HEAD_BYTES or head[0] != 0x5D or head[13]:
        return False
    dictionary, size = struct.unpack_from("<IQ", head, 1)
    steps = {1 << power for power in range(12, 32)} | {3 << power for power in range(11, 31)}
    return dictionary in steps and (size == (1 << 64) - 1 or size < _MAX_LZMA_SIZE)


def decoder_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the decoders raise for invalid bytes."""
    from backports.zstd import ZstdError

    return (zlib.error, lzma.LZMAError, ZstdError, OSError, EOFError)

"""Streaming decoders behind one small protocol, found by the first bytes of a file.

Magic numbers: RFC 1952 (gzip), tukaani.org/xz/xz-file-format.txt, RFC 8878 (zstd), bzip2's "BZh".
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

Packing = Literal["gz", "xz", "zst", "bz2"]
HEAD_BYTES = 6
_XZ_MEMORY = 256 << 20  # `xz -9` needs 65 MiB; more is an attack on the worker


class Decoder(Protocol):
    """One compressed member; after its end, `unused_data` holds what follows."""

    @property
    def eof(self) -> bool:
        """Tell whether the member has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Tell whether nothing more comes out before more goes in."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the member."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take `data`, return at most `max_length` bytes."""
        ...


class GzipDecoder:
    """zlib's decompressor in the shape of the other three."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        """Tell whether the member has ended."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """Tell whether nothing more comes out before more goes in."""
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


def _zstd() -> Decoder:
    from backports.zstd import ZstdDecompressor

    return ZstdDecompressor()


def _xz() -> Decoder:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


DECODERS: Mapping[Packing, Callable[[], Decoder]] = {
    "gz": GzipDecoder,
    "xz": _xz,
    "zst": _zstd,
    "bz2": bz2.BZ2Decompressor,
}
_MAGIC: Mapping[bytes, Packing] = {
    b"\x1f\x8b\x08": "gz",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"BZh": "bz2",
}


def packing_of(head: bytes) -> Packing | None:
    """Tell by its first 6 bytes how a file is compressed, None if it is not."""
    for magic, packing in _MAGIC.items():
        if head.startswith(magic):
            return packing if packing != "bz2" or head[3:4] in b"123456789" else None
    return None


def decoder_errors() -> tuple[type[Exception], ...]:
    """Return what the decoders raise for bytes that are not what they should be."""
    from backports.zstd import ZstdError

    return (zlib.error, lzma.LZMAError, ZstdError, OSError, EOFError)

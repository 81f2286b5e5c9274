"""Chip digests and compression: BLAKE3 over the plain bytes; zstd, or plain where that does not shrink."""

import sys
from threading import local
from typing import Final

from blake3 import blake3

from catalog.errors import DigestMismatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN: Final = 0
ZSTD: Final = 1
SAMPLE_BYTES = 4096
WORTH = 0.97  # a chip is kept compressed only if that saves 3 %: reading it back costs time


def digest_of(data: bytes | memoryview) -> bytes:
    """Return the 32-byte BLAKE3 of a chip."""
    digest: bytes = blake3(data).digest()
    return digest


class Codec:
    """Compress chips at one level. Thread-safe: each thread keeps its own compressor."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._own = local()

    def encode(self, chip: memoryview) -> tuple[int, bytes | memoryview]:
        """Return (codec, payload). Incompressible bytes are noticed by a sample and stay as they are."""
        compressor, sampler = self._compressors()
        if len(chip) > 4 * SAMPLE_BYTES:
            middle = len(chip) // 2
            sample = chip[middle : middle + SAMPLE_BYTES]
            if len(sampler.compress(sample, zstd.ZstdCompressor.FLUSH_FRAME)) >= SAMPLE_BYTES:
                return PLAIN, chip
        packed = compressor.compress(chip, zstd.ZstdCompressor.FLUSH_FRAME)
        return (ZSTD, packed) if len(packed) < WORTH * len(chip) else (PLAIN, chip)

    def _compressors(self) -> "tuple[zstd.ZstdCompressor, zstd.ZstdCompressor]":
        try:
            return self._own.pair  # type: ignore[no-any-return]
        except AttributeError:
            self._own.pair = zstd.ZstdCompressor(self._level), zstd.ZstdCompressor(-5)
            return self._own.pair  # type: ignore[no-any-return]


_own = local()


def decode(
    codec: int, payload: bytes | memoryview, raw_bytes: int, digest: bytes, where: str
) -> bytes | memoryview:
    """Return a chip's bytes, proven against its digest. Raises DigestMismatch naming `where`."""
    if codec == PLAIN:
        chip = payload
    elif codec == ZSTD:
        chip = _decompress(payload, raw_bytes, digest, where)
    else:
        raise DigestMismatch(where, digest.hex(), f"codec {codec}, which no version of this format has")
    actual = digest_of(chip)
    if actual != digest or len(chip) != raw_bytes:
        raise DigestMismatch(where, digest.hex(), actual.hex())
    return chip


def _decompress(payload: bytes | memoryview, raw_bytes: int, digest: bytes, where: str) -> bytes:
    try:
        return zstd.ZstdDecompressor().decompress(payload, raw_bytes)
    except (zstd.ZstdError, EOFError) as error:
        raise DigestMismatch(where, digest.hex(), f"no zstd frame: {error}") from error

"""Data that a member's contents share with the rest of its file: a boot image is made of files of its own disk.

Hashes of the file's 4 KiB blocks are looked up at every fourth byte of the contents, since archives align their
entries. A hash only suggests a place; the bytes there are compared, as far as they are equal.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from storage.imagestore.format.codec import CHAIN_BYTES, LEISURELY
from storage.imagestore.format.index import I8, U1, U8, Flags
from storage.imagestore.format.members.table import SPAN, Rows
from storage.protocols import ImageReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 4096
WORD = 4
WORDS = BLOCK // WORD
CHUNK_BYTES = 1 << 20  # of contents at a time
FILTER_BITS = 24
MOST_SPANS = 1 << 17
MOST_MISSES = 1 << 14  # blocks with equal hashes and different bytes: made by an attacker
COMPARED_BYTES = 64 << 10  # at a time
_BASE = 0x9E3779B97F4A7C15 | 1
_MANY = CHUNK_BYTES // WORD + WORDS
_POWERS: U8 = np.multiply.accumulate(np.full(_MANY, _BASE, np.uint64))
_INVERSE: U8 = np.multiply.accumulate(np.full(_MANY, pow(_BASE, -1, 1 << 64), np.uint64))


def block_hashes(data: U1) -> U8:
    """Return the hashes of whole blocks; that of zeros is 0."""
    words = data[: len(data) // BLOCK * BLOCK].view("<u4").reshape(-1, WORDS)
    hashes: U8 = words.astype(np.uint64) @ _POWERS[:WORDS]
    return hashes


def window_hashes(data: U1) -> U8:
    """Return the hashes of the blocks that begin at every fourth byte."""
    words = data[: len(data) // WORD * WORD].view("<u4")
    if len(words) < WORDS:
        return np.zeros(0, np.uint64)
    sums = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(words * _POWERS[: len(words)], out=sums[1:])
    hashes: U8 = sums[WORDS:] - sums[:-WORDS]
    hashes[1:] *= _INVERSE[: len(hashes) - 1]
    return hashes


class Blocks:
    """The blocks of a file outside its members. starts, ends (m,): of the reproduced members, sorted."""

    def __init__(self, reader: ImageReader, hashes: U8, places: I8, starts: I8, ends: I8) -> None:
        self.reader, self._starts = reader, starts
        before = np.searchsorted(starts, places + BLOCK, side="left") - 1
        inside = (before >= 0) & (np.append(ends, 0)[before] > places)
        kept = (hashes != 0) & ~inside
        self._hashes, first = np.unique(hashes[kept], return_index=True)
        self._places: I8 = places[kept][first]
        self._filter: Flags = np.zeros(1 << FILTER_BITS, np.bool_)
        self._filter[self._high(self._hashes)] = True

    def find(self, data: U1) -> list[tuple[int, int]]:
        """Return (offset in the data, place in the file) of the data's blocks that the file may hold."""
        hashes = window_hashes(data)
        maybe = np.flatnonzero(self._filter[self._high(hashes)])
        at = np.minimum(np.searchsorted(self._hashes, hashes[maybe]), len(self._hashes) - 1)
        found = self._hashes[at] == hashes[maybe] if len(self._hashes) else np.zeros(0, np.bool_)
        return list(zip((maybe[found] * WORD).tolist(), self._places[at[found]].tolist(), strict=True))

    def equal(self, data: memoryview, place: int) -> int:
        """Return how many bytes equal those of the file from a place on, up to the next member."""
        after = int(np.searchsorted(self._starts, place, side="right"))
        limit = int(self._starts[after]) if after < len(self._starts) else self.reader.size_bytes
        size, count = min(len(data), limit - place), 0
        while count < size:
            there = self.reader.read_at(place + count, min(COMPARED_BYTES, size - count))
            same = common(there, data[count : count + len(there)])
            count += same
            if same < len(there) or not there:
                break
        return count

    @staticmethod
    def _high(hashes: U8) -> U8:
        return hashes >> np.uint64(64 - FILTER_BITS)


def common(one: bytes | memoryview, other: bytes | memoryview) -> int:
    """Return the length of the common prefix."""
    size = min(len(one), len(other))
    first, second = (np.frombuffer(data, np.uint8, size) for data in (one, other))
    differs = first != second
    return int(np.argmax(differs)) if differs.any() else size


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Contents as spans (see `storage/imagestore/format/members/table.py`). packed: size of their own ones, about."""

    spans: Rows
    packed: int


def shared(contents: Iterable[bytes], blocks: Blocks) -> Shared:
    """Find the parts of some contents that lie elsewhere in their file. Raises the errors of both."""
    cutting = _Cutting(blocks)
    for block in contents:
        cutting.take(block)
    return cutting.finish()


class _Cutting:
    """Contents as they arrive. `_waiting` begins at a multiple of WORD in them; `_at` bytes of it are processed."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._packer = zstd.ZstdCompressor(
            options={
                int(zstd.CompressionParameter.compression_level): LEISURELY,
                int(zstd.CompressionParameter.window_log): CHAIN_BYTES.bit_length() - 1,
            }
        )
        self._spans: list[tuple[int, int, int]] = []
        self._own = self._packed = self._misses = self._at = 0
        self._waiting = b""
        self._goes_on = -1  # place in the file, while all was equal so far

    def take(self, block: bytes) -> None:
        """Process the next bytes."""
        for at in range(0, len(block), CHUNK_BYTES // 2):
            self._waiting += block[at : at + CHUNK_BYTES // 2]
            if len(self._waiting) >= CHUNK_BYTES // 2:
                self._cut(BLOCK - WORD)

    def finish(self) -> Shared:
        """Return all that was found."""
        self._cut(0)
        if self._own or not self._spans:
            self._spans.append((self._own, 0, 0))
        self._packed += len(self._packer.flush())
        return Shared(np.array(self._spans, SPAN), self._packed)

    def _cut(self, kept: int) -> None:
        """Process the waiting bytes except the last `kept`."""
        data = memoryview(self._waiting)
        if self._goes_on >= 0:
            self._go_on(data)
        for hit, place in self._hits(data):
            if hit >= self._at and self._misses < MOST_MISSES and len(self._spans) < MOST_SPANS:
                self._match(data, hit, place)
        end = max(self._at, (len(data) - kept) // WORD * WORD if kept else len(data))
        self._keep_own(data[self._at : end])
        begins = end // WORD * WORD
        self._waiting, self._at = bytes(data[begins:]), end - begins

    def _hits(self, data: memoryview) -> list[tuple[int, int]]:
        return self._blocks.find(np.frombuffer(data, np.uint8)) if self._at < len(data) else []

    def _go_on(self, data: memoryview) -> None:
        count = self._blocks.equal(data[self._at :], self._goes_on)
        own, place, length = self._spans[-1]
        self._spans[-1] = (own, place, length + count)
        self._at += count
        self._goes_on = self._goes_on + count if self._at == len(data) else -1

    def _match(self, data: memoryview, hit: int, place: int) -> None:
        count = self._blocks.equal(data[hit:], place)
        if count < BLOCK:
            self._misses += 1
            return
        self._keep_own(data[self._at : hit])
        self._spans.append((self._own, place, count))
        self._own, self._at = 0, hit + count
        self._goes_on = place + count if self._at == len(data) else -1

    def _keep_own(self, data: memoryview) -> None:
        self._own += len(data)
        self._packed += len(self._packer.compress(data))

"""Similarity of chips, by hashes of the blocks in them that lie at the same boundaries of their files.

File systems and disk formats move whole blocks of 4 KiB. A hash only suggests chips that may help; nothing relies on
it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from storage.imagestore.format.codec import PREFIX_BYTES, Payload
from storage.imagestore.format.index import U1, U4, U8, Flags

BLOCKS_PER_CHIP = 16  # a chip of average size: 64 KiB hold 16 blocks of 4 KiB
LARGEST_BLOCK = 4096
MOST_HASHES = 1 << 18  # of one file: 3 MiB for 1 GiB of blocks; of a larger one every second is kept, or fourth …
ENOUGH = 0.1  # of a chip that is no base yet must be similar: a base can't lean itself
WORTH_LEANING = 0.05  # of a chain's bytes must be in its bases: reading it costs reading them


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The blocks of a file's chips.

    hashes (b,); chip (b,): its number; digests (n, 32), raw (n,): of the chips; every: one of this many hashes is kept.
    """

    hashes: U8
    chip: U4
    digests: U1
    raw: U4
    every: int


def block_bytes(average_chip: int) -> int:
    """Return the block size for a store's chips."""
    return min(LARGEST_BLOCK, max(64, average_chip // BLOCKS_PER_CHIP // 8 * 8))


def block_hashes(chip: Payload, offset: int, block: int) -> U8:
    """Return the hashes of the whole blocks in a chip, without zeros. offset: of the chip in its file."""
    first = -offset % block
    count = (len(chip) - first) // block
    if count <= 0:
        return np.zeros(0, np.uint64)
    words = np.frombuffer(chip, "<u8", count * block // 8, offset=first).reshape(count, -1)
    hashes: U8 = words @ _multipliers(block // 8)
    hashes ^= hashes >> np.uint64(29)
    kept: U8 = hashes[hashes != 0]
    return kept


@cache
def _multipliers(count: int) -> U8:
    return np.random.default_rng(20).integers(0, 1 << 63, count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def sketch_of(chips: Iterable[tuple[int, Payload]], digests: U1, raw: U4, block: int) -> Sketch:
    """Return the sketch of chips in the order of `digests`: (offset in the file, bytes) each."""
    every = 1
    while int(raw.sum(dtype=np.uint64)) // block // every > MOST_HASHES:
        every *= 2
    hashes, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    for number, (offset, chip) in enumerate(chips):
        kept = _sampled(block_hashes(chip, offset, block), every)
        hashes.append(kept)
        numbers.append(np.full(len(kept), number, np.uint32))
    return Sketch(np.concatenate(hashes), np.concatenate(numbers), digests, raw, every)


def _sampled(hashes: U8, every: int) -> U8:
    return hashes[(hashes >> np.uint64(7)) % np.uint64(every) == 0] if every > 1 else hashes


class Pool:
    """Chips that others may lean on. sketches: newest file first, which is preferred.

    allowed: flags of each sketch's chips; settled: flags of those that are bases already. One build that many lean on
    takes less than many with one leaning each, as a base can't lean itself.
    """

    def __init__(
        self, sketches: Sequence[Sketch], allowed: Sequence[Flags], settled: Sequence[Flags], block: int
    ) -> None:
        self._block, self._every = block, max((s.every for s in sketches), default=1)
        self._digests = np.concatenate([np.zeros((0, 32), np.uint8), *(s.digests for s in sketches)])
        self._raw = np.concatenate([np.zeros(0, np.uint32), *(s.raw for s in sketches)])
        self._settled: Flags = np.concatenate([np.zeros(0, np.bool_), *settled])
        hashes, chips = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
        for first in (
            True,
            False,
        ):  # of equal blocks the first one counts: existing bases, then the newest file
            start = 0
            for s, ok, bears in zip(sketches, allowed, settled, strict=True):
                kept = (ok & (bears == first))[s.chip] & _is_sampled(s.hashes, self._every)
                hashes.append(s.hashes[kept])
                chips.append(s.chip[kept] + np.uint32(start))
                start += len(s.raw)
        self._hashes, where = np.unique(np.concatenate(hashes), return_index=True)
        self._chip: U4 = np.concatenate(chips)[where]

    def bases_for(self, chips: Sequence[tuple[int, Payload]]) -> U1:
        """Return the digests (n, 32) of the bases that help a chain most; none if few would. chips: (offset, bytes)."""
        found = [_sampled(block_hashes(chip, offset, self._block), self._every) for offset, chip in chips]
        hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
        at = np.minimum(np.searchsorted(self._hashes, hashes), max(0, len(self._hashes) - 1))
        hits = self._chip[at[self._hashes[at] == hashes]] if len(self._hashes) else self._chip[:0]
        like = len(hits) * self._block * self._every
        if not len(hits) or like < WORTH_LEANING * sum(len(chip) for _, chip in chips):
            return self._digests[:0]
        numbers, counts = np.unique(hits, return_counts=True)
        worth = self._settled[numbers] | (counts * self._block * self._every >= ENOUGH * self._raw[numbers])
        numbers, counts = numbers[worth], counts[worth]
        best = numbers[np.argsort(-counts, kind="stable")]
        fitting = best[np.cumsum(self._raw[best], dtype=np.int64) <= PREFIX_BYTES]
        bases: U1 = self._digests[np.sort(fitting)]
        return _each_once(bases)


def _is_sampled(hashes: U8, every: int) -> Flags:
    kept: Flags = (hashes >> np.uint64(7)) % np.uint64(every) == 0
    return kept


def _each_once(digests: U1) -> U1:
    _, first = np.unique(digests, axis=0, return_index=True)
    return digests[np.sort(first)]

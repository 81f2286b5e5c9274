"""Find packed members in a file: gzip streams that this host can deflate again to the same bytes.

They are searched for at every 512 bytes, where file systems, archives and images begin files. Everything is proven at
once. Hostile data and data that only looks like a member stay as they are: the unpacked bytes of one member, and of a
whole file, are limited.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3

from catalog.errors import ProgramFailed
from storage.imagestore.format.index import I8, U1, U8
from storage.imagestore.format.members.deflating import DeflateName, available, deflated
from storage.imagestore.upkeep.members.sharing import BLOCK, block_hashes, common
from storage.protocols import ImageReader

READ_BYTES = 4 << 20
SECTOR = 512
STEP_BYTES = 64 << 10  # of a stream at a time: the end of the undamaged part is known to this precision
OUT_BYTES = 1 << 20  # unpacked at a time
LEAST_BYTES = 256 << 10  # of a reproduced member: a smaller one is not worth its entry in the pieces
MOST_RATIO = 64  # contents to packed bytes: reading costs making all of it
MOST_CONTENTS = 16 << 30  # of a member
MOST_CANDIDATES = 1 << 16
EFFORT_RATIO, EFFORT_BYTES = 32, 1 << 30  # unpacked in total: this multiple of the file, plus this many bytes
DEFLATING, RUN_BYTES = (
    16,
    64 << 10,
)  # deflating costs this much more than unpacking; starting a program costs as much as deflating this many bytes
SAMPLE_BYTES = 256 << 10  # of a stream that are made first, with each codec
SAMPLE_CONTENTS = 16 << 20  # at most, for that
OF_SAMPLE = 0.25  # must be reproduced: the last block of a cut-off stream never is
WORTH = 0.5  # of a stream must be reproduced
MAGIC = b"\x1f\x8b\x08"
HEAD_BYTES = 64 << 10  # of a member's header at most
EXTRA, NAME, COMMENT, HEAD_CHECK, RESERVED = 4, 8, 16, 2, 0xE0
MOST_BLOCKS = 1 << 21  # whose hashes are kept: the first 8 GiB of data, 32 MiB


@dataclass(frozen=True, slots=True)
class Found:
    """A deflate stream: its first `contents` bytes unpacked reproduce `[start, start + length)` of the file."""

    start: int
    length: int
    contents: int
    codec: DeflateName
    check: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Surveyed:
    """The result of one reading. starts: possible starts of members; hashes, places (n,): of its 4 KiB blocks."""

    starts: list[int]
    hashes: U8
    places: I8


def survey(reader: ImageReader) -> Surveyed:
    """Read a file once. Raises the reader's errors."""
    starts: list[int] = []
    hashes, places, count = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    for at, data in _blocks(reader):
        starts += (at + _magic(data)).tolist() if len(starts) < MOST_CANDIDATES else []
        if count < MOST_BLOCKS:
            hashes.append(block_hashes(data))
            places.append(at + BLOCK * np.arange(len(hashes[-1])))
            count += len(hashes[-1])
    return Surveyed(starts[:MOST_CANDIDATES], np.concatenate(hashes), np.concatenate(places))


def _blocks(reader: ImageReader) -> Iterator[tuple[int, U1]]:
    """Yield (offset, bytes) of the data between holes, from block boundaries."""
    for start, end, hole in reader.extents():
        if not hole:
            for at in range(-(-start // BLOCK) * BLOCK, end, READ_BYTES):
                yield at, np.frombuffer(reader.read_at(at, min(READ_BYTES, end - at)), np.uint8)


def _magic(data: U1) -> I8:
    heads = data[: len(data) // SECTOR * SECTOR].reshape(-1, SECTOR)
    wanted = np.frombuffer(MAGIC, np.uint8)
    found: I8 = np.flatnonzero((heads[:, :3] == wanted).all(axis=1) & (heads[:, 3] & RESERVED == 0)) * SECTOR
    return found


@dataclass(slots=True)
class Inflating:
    """Unpacks a deflate stream of a file, up to damage. effort: bytes that may still be unpacked in total.

    consumed: bytes of the stream so far, at most; contents: bytes unpacked; whole: whether its end was reached.
    """

    reader: ImageReader
    start: int
    consumed: int = 0
    contents: int = 0
    whole: bool = False

    def blocks(self, most: int) -> Iterator[bytes]:
        """Yield its contents, at most `most` bytes; anything after damage is excluded."""
        stream, waiting = zlib.decompressobj(-15), b""
        while not stream.eof and self.contents < most:
            if not waiting:
                waiting = self.reader.read_at(self.start + self.consumed, STEP_BYTES)
                self.consumed += len(waiting)
                if not waiting:
                    return
            try:
                block = stream.decompress(waiting, min(OUT_BYTES, most - self.contents))
            except zlib.error:
                return
            waiting = stream.unconsumed_tail
            self.contents += len(block)
            yield block
        self.consumed -= len(stream.unused_data) + len(waiting)
        self.whole = stream.eof


@dataclass(slots=True)
class Search:
    """One search in a file. Raises the reader's errors."""

    reader: ImageReader
    effort: int = field(init=False)

    def __post_init__(self) -> None:
        self.effort = EFFORT_RATIO * self.reader.size_bytes + EFFORT_BYTES

    def members(self, starts: Iterable[int]) -> Iterator[Found]:
        """Yield the reproducible parts of the streams that begin there, in order, none within another."""
        end = 0
        for at in starts:
            body = _body(self.reader.read_at(at, HEAD_BYTES)) if at >= end and self.effort > 0 else 0
            found = self._proven(at + body) if body else None
            if found is not None:
                end = found.start + found.length
                yield found

    def _proven(self, start: int) -> Found | None:
        """Return the stream that begins there; None if it is not reproducible, too small or too large."""
        packed = Inflating(self.reader, start)
        for _ in packed.blocks(MOST_CONTENTS + 1):
            if packed.contents > self.effort:
                break
        self.effort -= packed.contents + packed.consumed
        if packed.consumed < LEAST_BYTES or packed.contents > min(MOST_CONTENTS, MOST_RATIO * packed.consumed):
            return None
        best = Found(start, 0, packed.contents, "zlib-6", b"")
        for codec in self._likely(start):
            self.effort -= DEFLATING * packed.contents
            length, check = self._made(codec, start, packed.contents, packed.consumed)
            best = max(best, Found(start, length, packed.contents, codec, check), key=lambda one: one.length)
            if length == packed.consumed:
                break
        return best if best.length >= max(LEAST_BYTES, WORTH * packed.consumed) else None

    def _likely(self, start: int) -> list[DeflateName]:
        """Return the codecs that reproduce the beginning of a stream."""
        packed, sample = Inflating(self.reader, start), list[bytes]()
        for block in packed.blocks(SAMPLE_CONTENTS):
            sample.append(block)
            if packed.consumed >= SAMPLE_BYTES:
                break
        stream, codecs = self.reader.read_at(start, packed.consumed), available()
        self.effort -= DEFLATING * (packed.contents + RUN_BYTES) * len(codecs)
        least = OF_SAMPLE * len(stream)
        return [codec for codec in codecs if _equal(deflated(codec, sample), [stream])[0] >= least]

    def _made(self, codec: DeflateName, start: int, contents: int, length: int) -> tuple[int, bytes]:
        """Return how many bytes of a stream are reproduced from its contents, and their BLAKE3."""
        made = deflated(codec, Inflating(self.reader, start).blocks(contents))
        there = (
            self.reader.read_at(at, min(OUT_BYTES, start + length - at))
            for at in range(start, start + length, OUT_BYTES)
        )
        return _equal(made, there)


def _equal(made: Generator[bytes], there: Iterable[bytes]) -> tuple[int, bytes]:
    """Return the length of the common prefix of two streams, and its BLAKE3."""
    count, proof, waiting = 0, blake3(), b""
    with closing(made), suppress(ProgramFailed):
        for wanted in there:
            while len(waiting) < len(wanted) and (block := next(made, None)) is not None:
                waiting += block
            same = common(waiting, wanted)
            proof.update(wanted[:same])
            count += same
            waiting = waiting[same:]
            if same < len(wanted):
                break
    return count, proof.digest()


def _body(head: bytes) -> int:
    """Return the start of the deflate stream in a gzip member, 0 if it is none."""
    flags, at = head[3], 10
    if flags & EXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for text in (NAME, COMMENT):
        if flags & text:
            end = head.find(b"\0", at)
            at = end + 1 if end >= 0 else len(head)
    at += 2 if flags & HEAD_CHECK else 0
    return at if at < len(head) else 0

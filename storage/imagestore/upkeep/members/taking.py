"""Extraction of packed members from a file: the choice of reproducible members, and what is kept in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from storage.imagestore.format.manifest import zeros
from storage.imagestore.format.members.table import MEMBER, SPAN, Members, MemberTable, deflate
from storage.imagestore.reading.member_reader import segments
from storage.imagestore.upkeep.members.search import Found, Inflating, Search, survey
from storage.imagestore.upkeep.members.sharing import Blocks, Shared, shared
from storage.protocols import ImageReader

BLOCK_BYTES = 4 << 20
PAYS = 0.97  # of a member's bytes is the most its replacement may take, as far as is known before others share it
SPAN_COSTS = 12  # approximate stored bytes of a row of the table
WORTH_BYTES = 1 << 20  # of a file, or
WORTH = 0.25  # of it must be reproduced: a table and other pieces are not worth less


@dataclass(frozen=True, slots=True, eq=False)
class Unpacked:
    """A file without its members. found: one for each row of the table."""

    recipe: Members
    table: MemberTable
    found: Sequence[Found]


def take_members(reader: ImageReader) -> Unpacked | None:
    """Find the reproducible members of a file; return None if they are too few. Raises the reader's errors."""
    seen = survey(reader)
    found = list(Search(reader).members(seen.starts))
    if not _worth(found, reader):
        return None
    starts = np.array([one.start for one in found], np.int64)
    ends = starts + np.array([one.length for one in found], np.int64)
    blocks = Blocks(reader, seen.hashes, seen.places, starts, ends)
    kept = [(one, cut) for one in found if _pays(one, cut := shared(_contents(reader, one), blocks))]
    return _described(reader, kept) if _worth([one for one, _ in kept], reader) else None


def _worth(found: Sequence[Found], reader: ImageReader) -> bool:
    made = sum(one.length for one in found)
    return bool(found) and made >= min(WORTH_BYTES, WORTH * reader.size_bytes)


def _pays(found: Found, cut: Shared) -> bool:
    return cut.packed + SPAN_COSTS * len(cut.spans) <= PAYS * found.length


def _contents(reader: ImageReader, found: Found) -> Iterator[bytes]:
    return Inflating(reader, found.start).blocks(found.contents)


def _described(reader: ImageReader, kept: Sequence[tuple[Found, Shared]]) -> Unpacked:
    names = sorted({one.codec for one, _ in kept})
    rows = [
        (one.start, one.length, names.index(one.codec), len(cut.spans), np.frombuffer(one.check, np.uint8))
        for one, cut in kept
    ]
    spans = np.concatenate([np.zeros(0, SPAN), *(cut.spans for _, cut in kept)])
    table = MemberTable(reader.size_bytes, np.array(rows, MEMBER), spans)
    codecs = tuple(deflate(name) for name in names)
    recipe = Members(codecs=codecs, table_bytes=len(table.encode()), size_bytes=reader.size_bytes)
    return Unpacked(recipe, table, [one for one, _ in kept])


def stream(reader: ImageReader, unpacked: Unpacked) -> Iterator[memoryview]:
    """Yield the file without its members, the members' own contents, and the table."""
    yield from _front(reader, unpacked.table)
    at, places = reader.size_bytes, unpacked.table.places
    for number, one in enumerate(unpacked.found):
        yield from zeros(places[number] - at)
        at = places[number]
        rows = slice(*unpacked.table.first_span[number : number + 2].tolist())
        for block in _own(_contents(reader, one), unpacked.table.spans[rows].tolist()):
            yield block
            at += len(block)
    yield from zeros(places[-1] - at)
    yield memoryview(unpacked.table.encode())


def _front(reader: ImageReader, table: MemberTable) -> Iterator[memoryview]:
    for begin, end, hole in reader.extents():
        for start, stop, number in segments(table, begin, end):
            if hole or number is not None:
                yield from zeros(stop - start)
                continue
            for at in range(start, stop, BLOCK_BYTES):
                yield memoryview(reader.read_at(at, min(BLOCK_BYTES, stop - at)))


def _own(contents: Iterator[bytes], spans: Sequence[tuple[int, int, int]]) -> Iterator[memoryview]:
    """Yield the parts of some contents that lie nowhere else."""
    left = memoryview(b"")
    for own, _, length in spans:
        waiting = own + length
        while waiting:
            left = left or memoryview(next(contents))
            part = left[: waiting - length if waiting > length else waiting]
            if waiting > length:
                yield part
            waiting -= len(part)
            left = left[len(part) :]

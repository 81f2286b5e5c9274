"""Taking a compressed qcow2 file apart: the clusters that can be compressed again to the same bytes, and the rest.

Everything is proven at once: a cluster counts only if this host's library gives exactly the stored bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from storage.formats.blocks import MalformedDisk
from storage.formats.qcow2.compressed import Clusters, compressed_clusters
from storage.formats.qcow2.disk import unpacker
from storage.imagestore.format.index import I8, U1
from storage.imagestore.format.manifest import zeros
from storage.imagestore.format.recipe import (
    CHECK_BYTES,
    COMPRESS,
    CodecName,
    Recipe,
    RecipeTable,
    check_of,
    gives,
    library,
)
from storage.imagestore.reading.recipe_reader import WORKERS
from storage.protocols import ImageReader
from storage.transfer.threads import in_order

GROUP = 32  # clusters per thread at a time
AHEAD = 2 * WORKERS  # groups
SAMPLE, OF_SAMPLE = 16, 8  # clusters tried first, and how many of them must be reproduced before all are tried
WORTH = 0.5  # of the file must be reproduced
BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """A file taken apart. starts (n,): offsets of the table's clusters in the file."""

    recipe: Recipe
    table: RecipeTable
    clusters: Clusters
    starts: I8


def take_apart(reader: ImageReader) -> Apart | None:
    """Find the reproducible parts of a file; return None if they are too few. Raises the reader's errors."""
    found = compressed_clusters(reader)
    if found is None or not found.packed.any():
        return None
    codec: CodecName = "zstd" if found.codec == "zstd" else "zlib"
    packed = np.flatnonzero(found.packed)
    some = packed[np.unique(np.linspace(0, len(packed) - 1, SAMPLE).astype(np.int64))]
    if np.count_nonzero(_tried(reader, found, codec, some)[0]) < min(OF_SAMPLE, len(some)):
        return None
    lengths, checks = _tried(reader, found, codec, np.arange(len(found.start)))
    came = _apart(found, lengths)
    if int(lengths[came][found.packed[came]].sum()) < WORTH * reader.size_bytes:
        return None
    return _described(reader.size_bytes, found, codec, came, lengths[came], checks[came])


def _tried(reader: ImageReader, found: Clusters, codec: CodecName, rows: I8) -> tuple[I8, U1]:
    """Return lengths (n,), 0 if not reproduced, and checks (n, 8) of these clusters."""
    unpack, compress, size = unpacker(found.header), COMPRESS[codec], found.header.cluster_bytes

    def work(some: I8) -> list[tuple[int, bytes]]:
        return [one(int(row)) for row in some]

    def one(row: int) -> tuple[int, bytes]:
        data = reader.read_at(int(found.start[row]), int(found.room[row]))
        if not found.packed[row]:
            return (len(data), check_of(data)) if len(data) == size else (0, bytes(CHECK_BYTES))
        try:
            contents = unpack(data)
        except MalformedDisk:
            return 0, bytes(CHECK_BYTES)
        again = compress(contents)
        same = len(contents) == size > len(again) and data.startswith(again)
        return (len(again), check_of(again)) if same else (0, bytes(CHECK_BYTES))

    groups = [rows[at : at + GROUP] for at in range(0, len(rows), GROUP)]
    tried = [one for group in in_order(work, groups, workers=WORKERS, room=AHEAD) for one in group]
    checks = np.frombuffer(b"".join(check for _, check in tried), np.uint8).reshape(-1, CHECK_BYTES)
    return np.array([length for length, _ in tried], np.int64), checks


def _apart(found: Clusters, lengths: I8) -> I8:
    """Return the reproduced rows, without those that overlap the one before."""
    came = np.flatnonzero(lengths)
    ends = np.maximum.accumulate(found.start[came] + lengths[came])
    clear = np.concatenate([np.ones(min(1, len(came)), np.bool_), found.start[came][1:] >= ends[:-1]])
    rows: I8 = came[clear]
    return rows


def _described(size_bytes: int, found: Clusters, codec: CodecName, rows: I8, lengths: I8, checks: U1) -> Apart:
    starts = found.start[rows]
    gaps = starts - np.concatenate([[0], (starts + lengths)[:-1]])
    table = RecipeTable(gaps, lengths, found.guest[rows], checks)
    cluster = found.header.cluster_bytes
    recipe = Recipe(
        codec=codec,
        library=library(codec),
        gives=gives(codec),
        cluster_bytes=cluster,
        contents_bytes=-(-found.header.size_bytes // cluster) * cluster,
        rest_bytes=size_bytes - int(lengths.sum()),
        table_bytes=len(table.encode()),
        size_bytes=size_bytes,
    )
    return Apart(recipe, table, found, starts)


def stream(reader: ImageReader, apart: Apart) -> Iterator[memoryview]:
    """Yield contents, rest and table, as an image with this recipe is stored."""
    yield from _contents(reader, apart)
    at = 0
    bounds = zip([*apart.starts.tolist(), apart.recipe.size_bytes], [*apart.table.lengths.tolist(), 0], strict=True)
    for start, length in bounds:
        for block in range(at, start, BLOCK_BYTES):
            yield memoryview(reader.read_at(block, min(BLOCK_BYTES, start - block)))
        at = start + length
    yield memoryview(apart.table.encode())


def _contents(reader: ImageReader, apart: Apart) -> Iterator[memoryview]:
    """Yield the compressed clusters' contents at their places; zeros elsewhere."""
    size, unpack = apart.recipe.cluster_bytes, unpacker(apart.clusters.header)
    order = np.argsort(apart.table.numbers, kind="stable")
    starts, lengths = apart.starts[order].tolist(), apart.table.lengths[order].tolist()

    def work(rows: range) -> Sequence[memoryview]:
        read = [(reader.read_at(starts[row], lengths[row]), lengths[row] < size) for row in rows]
        return [memoryview(unpack(data) if packed else data) for data, packed in read]

    groups = [range(at, min(at + GROUP, len(starts))) for at in range(0, len(starts), GROUP)]
    unpacked = (one for group in in_order(work, groups, workers=WORKERS, room=AHEAD) for one in group)
    at = 0
    for number, block in zip(apart.table.numbers[order].tolist(), unpacked, strict=True):
        yield from zeros(number * size - at)
        yield block
        at = (number + 1) * size
    yield from zeros(apart.recipe.contents_bytes - at)

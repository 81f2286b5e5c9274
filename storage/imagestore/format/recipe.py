"""Recipes: a compressed file kept as its contents, and how to compress them to the very same bytes.

The pieces of such an image are those of another file: the contents `[0, contents_bytes)`, with zeros for clusters that
are not reproduced; then the bytes of the file that nothing reproduces, `rest_bytes`; then a table, `table_bytes`. The
table has little-endian columns for the n reproduced clusters in file order: bytes of the rest before it u32, its length
u32, its number in the contents minus that of the one before it i32, the first 8 bytes of its BLAKE3. A cluster of full
length is not compressed.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from catalog.errors import DigestMismatch
from catalog.records import Record
from storage.imagestore.format.index import I8, U1

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CodecName = Literal["zlib", "zstd"]
CHECK_BYTES = 8
ROW_BYTES = 4 + 4 + 4 + CHECK_BYTES
WINDOW_BITS, MEMORY_LEVEL = -12, 9  # as in qemu's deflate


class Recipe(Record):
    """How a file is made from an image's pieces; sizes in bytes.

    library: the one known to give these bytes; gives: see `gives`.
    """

    codec: CodecName
    library: str
    gives: str
    cluster_bytes: int
    contents_bytes: int
    rest_bytes: int
    table_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class RecipeTable:
    """The n clusters in file order. gaps, lengths: (n,) bytes; numbers: (n,) in the contents; checks: (n, 8)."""

    gaps: I8
    lengths: I8
    numbers: I8
    checks: U1

    def encode(self) -> bytes:
        """Return the table's bytes."""
        steps = np.diff(self.numbers, prepend=0)
        columns = (self.gaps.astype("<u4"), self.lengths.astype("<u4"), steps.astype("<i4"), self.checks)
        return b"".join(column.tobytes() for column in columns)


def decode_table(data: bytes, recipe: Recipe, where: str) -> RecipeTable:
    """Read a table. Raises DigestMismatch if it does not make the file that its recipe describes."""
    count, torn = divmod(len(data), ROW_BYTES)
    gaps, lengths = (_column(data, part * 4 * count, "<u4", count) for part in range(2))
    numbers = np.cumsum(_column(data, 8 * count, "<i4", count))
    checks = np.frombuffer(data, np.uint8, count * CHECK_BYTES, 12 * count).reshape(-1, CHECK_BYTES)
    clusters = recipe.contents_bytes // recipe.cluster_bytes
    sizes = (int(gaps.sum()) <= recipe.rest_bytes, recipe.rest_bytes + int(lengths.sum()) == recipe.size_bytes)
    if torn or not all(sizes) or (count and not 0 <= int(numbers.min()) <= int(numbers.max()) < clusters):
        raise DigestMismatch(where, "the table of its recipe", "one that makes another file")
    return RecipeTable(gaps, lengths, numbers, checks)


def _column(data: bytes, offset: int, kind: str, count: int) -> I8:
    column: npt.NDArray[np.int64] = np.frombuffer(data, kind, count, offset).astype(np.int64)
    return column


def check_of(cluster: bytes) -> bytes:
    """Return the check bytes of a compressed cluster."""
    return bytes(blake3(cluster).digest(CHECK_BYTES))


def _deflate(cluster: bytes) -> bytes:
    packer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    return packer.compress(cluster) + packer.flush()


COMPRESS: Mapping[CodecName, Callable[[bytes], bytes]] = {"zlib": _deflate, "zstd": zstd.compress}
"""Compress one cluster as qemu does."""


def library(codec: CodecName) -> str:
    """Return the name and version of this host's compression library."""
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}" if codec == "zlib" else f"zstd {zstd.zstd_version}"


@cache
def gives(codec: CodecName) -> str:
    """Return the BLAKE3, hex, of the library's output here for fixed samples.

    Versions of a library mostly give the same bytes, and other libraries of the same name don't: the output decides,
    not the name.
    """
    noise = np.frombuffer(blake3(b"imagewright recipe").digest(1 << 16), np.uint8)
    samples = [(noise & np.uint8(mask)).tobytes() for mask in (1, 7, 31, 127)]
    samples.append(noise[:9973].tobytes() * 6)
    return str(blake3(b"".join(COMPRESS[codec](sample) for sample in samples)).hexdigest())


def other_bytes(recipe: Recipe) -> str:
    """Return why the library here can't make the file, "" if it can."""
    if recipe.gives == gives(recipe.codec):
        return ""
    return f"its compressed parts were made by {recipe.library}, and {library(recipe.codec)} here makes other bytes of them"

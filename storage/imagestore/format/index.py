"""The index: immutable column tables of chips, sorted by the first 8 bytes of the digest, looked up in batches.

Segments are numbered: an addition is `index/<n>`, created exclusively, so that each add saw all before it. A reclaim
writes `index/<n>-<epoch>-<part>` in place of those up to n. Integers little-endian:
  "IWIX", version u32, packs u32, chips u64 (20 bytes), then whole columns:
  pack names 32 each | keys u64 | digests 32 | pack numbers u32 | record offsets u64 | stored u32 | raw u32 | codec u8 |
  back u32: bytes from the beginning of the chip's chain to its record (version 1 has no chains, and not this column)
  then the BLAKE3 of everything before it 32
Version 3 is written if a chain leans on chips elsewhere, so that programs which can't read it leave it alone.
The key of a chip is the first 8 bytes of its digest, read big-endian; the table is sorted by key.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from mmap import MADV_DONTNEED, mmap
from typing import cast

import numpy as np
import numpy.typing as npt

from catalog.errors import StorageRefused
from storage.imagestore.format.codec import BASES, LEANING
from storage.imagestore.format.pack import Entry
from storage.imagestore.format.seal import sealed, unsealed

MAGIC = b"IWIX"
VERSION = 3
CHAINS_VERSION = 2
PREFIX = "index/"
HEAD = struct.Struct("<4sIIQ")

U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def as_digests(digests: Sequence[bytes]) -> U1:
    """Return shape (n, 32) of n digests."""
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)


def keys_of(digests: U1) -> U8:
    """Return the keys, shape (n,), of digests of shape (n, 32)."""
    front = np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1)
    return cast("U8", front.astype(np.uint64))


def distinct(keys: U8) -> U8:
    """Return the keys sorted, each once. Sorts because numpy's `unique` hashes: 16 times as slow for 5 million keys."""
    ordered: U8 = np.sort(keys)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def member(sorted_keys: U8, keys: U8) -> Flags:
    """Tell which keys are among the sorted ones; shape (n,)."""
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.searchsorted(sorted_keys, keys)
    at[at == len(sorted_keys)] = 0
    there: Flags = sorted_keys[at] == keys
    return there


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """n chips in p packs. packs: (p, 32); all other columns are n long and sorted by key."""

    packs: U1
    keys: U8
    digests: U1
    pack: U4
    offset: U8
    stored: U4
    raw: U4
    codec: U1
    back: U4

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def leaning(self) -> Flags:
        """Tell which chips lie in chains that lean on others."""
        leaning: Flags = self.codec >= LEANING
        return leaning

    def leaning_packs(self) -> set[bytes]:
        """Return the names of packs with chains that lean on others."""
        return {self.packs[number].tobytes() for number in np.unique(self.pack[self.leaning])}

    def find(self, digests: U1, keys: U8) -> I8:
        """Return the row of each digest, -1 if there is none."""
        rows = np.full(len(keys), -1, dtype=np.int64)
        if not len(self) or not len(keys):
            return rows
        at = np.searchsorted(self.keys, keys)
        at[at == len(self)] = 0
        same = (self.keys[at] == keys) & (self.digests[at] == digests).all(axis=1)
        rows[same] = at[same]
        self._find_among_equal_keys(digests, keys, at, same, rows)
        return rows

    def _find_among_equal_keys(self, digests: U1, keys: U8, at: I8, same: Flags, rows: I8) -> None:
        """Search on for digests that differ although the key matches: two chips share 8 bytes."""
        for i in np.nonzero((self.keys[at] == keys) & ~same)[0]:
            row = int(at[i])
            while row < len(self) and self.keys[row] == keys[i]:
                if (self.digests[row] == digests[i]).all():
                    rows[i] = row
                    break
                row += 1

    def take(self, rows: Flags | I8) -> "Table":
        """Return the table of these rows, without the packs that they no longer use."""
        used, pack = np.unique(self.pack[rows], return_inverse=True)
        return Table(
            self.packs[used],
            self.keys[rows],
            self.digests[rows],
            pack.astype(np.uint32).reshape(-1),
            self.offset[rows],
            self.stored[rows],
            self.raw[rows],
            self.codec[rows],
            self.back[rows],
        )


def chips_in(head: bytes) -> int:
    """Return the number of chips in a segment, from its first bytes; 0 if they are no segment's head."""
    if len(head) < HEAD.size or not head.startswith(MAGIC):
        return 0
    return int(HEAD.unpack_from(head)[3])


def table_of(packs: Iterable[tuple[bytes, Sequence[Entry]]]) -> Table:
    """Return the table of the chips in whole packs: (name, entries) each."""
    names: list[bytes] = []
    entries: list[Entry] = []
    numbers: list[int] = []
    for name, records in packs:
        of_pack = [entry for entry in records if entry.codec != BASES]
        numbers.extend([len(names)] * len(of_pack))
        names.append(name)
        entries.extend(of_pack)
    digests = as_digests([e.digest for e in entries])
    return _sorted(
        Table(
            as_digests(names),
            keys_of(digests),
            digests,
            np.array(numbers, dtype=np.uint32),
            np.array([e.offset for e in entries], dtype=np.uint64),
            np.array([e.stored for e in entries], dtype=np.uint32),
            np.array([e.raw for e in entries], dtype=np.uint32),
            np.array([e.codec for e in entries], dtype=np.uint8),
            np.array([e.back for e in entries], dtype=np.uint32),
        )
    )


def merge(tables: Sequence[Table]) -> Table:
    """Return one table of all; a chip in several keeps the place from the first of them."""
    tables = [t for t in tables if len(t)]
    if len(tables) <= 1:
        return tables[0] if tables else EMPTY
    packs, inverse = np.unique(np.concatenate([t.packs for t in tables]), axis=0, return_inverse=True)
    starts = np.cumsum([0] + [len(t.packs) for t in tables[:-1]])
    numbers = inverse.reshape(-1).astype(np.uint32)
    joint = Table(
        packs,
        np.concatenate([t.keys for t in tables]),
        np.concatenate([t.digests for t in tables]),
        np.concatenate([numbers[start + t.pack] for t, start in zip(tables, starts, strict=True)]),
        np.concatenate([t.offset for t in tables]),
        np.concatenate([t.stored for t in tables]),
        np.concatenate([t.raw for t in tables]),
        np.concatenate([t.codec for t in tables]),
        np.concatenate([t.back for t in tables]),
    )
    return _without_repeats(_sorted(joint))


def joined_by_size(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """Merge the last tables while they are of similar size: this keeps tables few and copies each row rarely."""
    while len(tables) > 1 and len(tables[-2]) < 2 * len(tables[-1]):
        tables = (*tables[:-2], merge(tables[-2:]))
    return tables


def _sorted(table: Table) -> Table:
    order = np.argsort(table.keys, kind="stable")
    return Table(
        table.packs,
        table.keys[order],
        table.digests[order],
        table.pack[order],
        table.offset[order],
        table.stored[order],
        table.raw[order],
        table.codec[order],
        table.back[order],
    )


def _without_repeats(table: Table) -> Table:
    first = np.ones(len(table), dtype=np.bool_)
    first[1:] = (table.keys[1:] != table.keys[:-1]) | (table.digests[1:] != table.digests[:-1]).any(axis=1)
    return table if first.all() else table.take(first)


def encode(table: Table) -> bytes:
    """Return a segment's bytes."""
    version = VERSION if table.leaning.any() else CHAINS_VERSION
    body = b"".join(
        (
            HEAD.pack(MAGIC, version, len(table.packs), len(table)),
            table.packs.tobytes(),
            table.keys.astype("<u8").tobytes(),
            table.digests.tobytes(),
            table.pack.astype("<u4").tobytes(),
            table.offset.astype("<u8").tobytes(),
            table.stored.astype("<u4").tobytes(),
            table.raw.astype("<u4").tobytes(),
            table.codec.tobytes(),
            table.back.astype("<u4").tobytes(),
        )
    )
    return sealed(body)


def decode(where: str, data: "bytes | memoryview") -> Table:
    """Read a segment without copying it. Raises DigestMismatch, StorageRefused for another version."""
    body = unsealed(where, data, HEAD.size)
    magic, version, _, _ = HEAD.unpack_from(body)
    if magic != MAGIC or not 1 <= version <= VERSION:
        raise StorageRefused(where, f"index version {version}; this program reads 1 to {VERSION}")
    return _decode_proven(body, chained=version > 1)


def let_go(tables: Iterable[Table]) -> None:
    """Release the memory of mapped segments after reading all of them; pages needed again are read again."""
    for table in tables:
        held = table.keys.base
        if isinstance(held, memoryview) and isinstance(held.obj, mmap):
            held.obj.madvise(MADV_DONTNEED)


def _decode_proven(data: memoryview, *, chained: bool) -> Table:
    _, _, packs, chips = HEAD.unpack_from(data)
    at = HEAD.size

    def column(dtype: str, count: int) -> npt.NDArray[np.generic]:
        nonlocal at
        values = np.frombuffer(data, dtype=dtype, count=count, offset=at)
        at += values.nbytes
        return values

    return Table(
        cast("U1", column("<u1", packs * 32)).reshape(-1, 32),
        cast("U8", column("<u8", chips)),
        cast("U1", column("<u1", chips * 32)).reshape(-1, 32),
        cast("U4", column("<u4", chips)),
        cast("U8", column("<u8", chips)),
        cast("U4", column("<u4", chips)),
        cast("U4", column("<u4", chips)),
        cast("U1", column("<u1", chips)),
        cast("U4", column("<u4", chips)) if chained else np.zeros(chips, np.uint32),
    )


def part_name(sequence: int, epoch: int, number: int) -> str:
    """Return the object name of a part of the index that an epoch's sweep writes to replace all up to `sequence`."""
    return f"{PREFIX}{sequence:012d}-{epoch:012d}-{number:06d}"


def name_of(sequence: int) -> str:
    """Return the object name of an addition's segment."""
    return f"{PREFIX}{sequence:012d}"


EMPTY = table_of(())

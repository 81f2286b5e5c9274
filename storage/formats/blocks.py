"""Random access to the disk inside a stored file, as a guest would see it.

The bytes may be hostile: whatever they say, a read costs at most one table and one cluster for each cluster asked for,
and memory stays below 64 MiB. Ranges outside the file read as zeros, as in qemu; the inspector refuses such files.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

BLOCK = 128 << 10
"""Stored bytes are fetched in aligned blocks of this size: one chip on average."""


class MalformedDisk(ValueError):
    """The tables of an image point nowhere."""


class Bytes(Protocol):
    """Anything that can be read at an offset."""

    size_bytes: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        ...


class Cached:
    """Caches the last blocks of a slow source; 256 of them are 32 MiB."""

    def __init__(self, source: Bytes, blocks: int = 256) -> None:
        self.size_bytes = source.size_bytes
        self._blocks: Cache[bytes] = Cache(blocks, lambda number: source.read_at(number * BLOCK, BLOCK))

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        end = min(offset + size, self.size_bytes)
        if end <= offset:
            return b""
        first, last = offset // BLOCK, (end - 1) // BLOCK
        data = b"".join(self._blocks.get(number) for number in range(first, last + 1))
        return data[offset - first * BLOCK : end - first * BLOCK]


class Part:
    """A part of a disk: a partition, or a contiguous file."""

    def __init__(self, disk: Bytes, start: int, size_bytes: int) -> None:
        """start: bytes. The part is cut at the end of the disk."""
        self._disk, self._start = disk, start
        self.size_bytes = max(min(size_bytes, disk.size_bytes - start), 0)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        size = max(min(size, self.size_bytes - offset), 0)
        return self._disk.read_at(self._start + offset, size) if size else b""


def pieces(offset: int, size: int, disk_size: int, unit: int) -> "list[tuple[int, int, int]]":
    """Cut `[offset, offset + size)` at multiples of `unit`: (number of the unit, start in it, end in it)."""
    end = min(offset + size, disk_size)
    numbers = range(offset // unit, -(-end // unit)) if offset < end else range(0)
    return [(n, max(offset - n * unit, 0), min(end - n * unit, unit)) for n in numbers]


Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by number, made on demand; the least recently used one is evicted first."""

    def __init__(self, entries: int, make: Callable[[int], Value]) -> None:
        self._entries, self._make = entries, make
        self._kept: OrderedDict[int, Value] = OrderedDict()

    def get(self, key: int) -> Value:
        """Return the value of `key`, made now if it is not cached."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = self._make(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)
        return value

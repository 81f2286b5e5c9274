"""A view of a store at one moment: its index and what is condemned, with the epoch that fences it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format import damage_marks, epochs, index, names
from storage.imagestore.format.codec import LEANING
from storage.imagestore.format.index import I8, U1, U4, U8, Flags, Table
from storage.protocols import ObjectStore

SMALL_SEGMENT = 1 << 16  # chips; smaller segments are joined in memory, so that look-ups search few tables
ATTEMPTS = 20


class Segment(NamedTuple):
    """A parsed segment name. epoch: of the reclaim that wrote it, None for an addition."""

    name: str
    sequence: int
    epoch: int | None


def segments_of(objects: Iterable[str]) -> list[Segment]:
    """Parse the names of segments."""
    segments: list[Segment] = []
    for name in objects:
        sequence, _, epoch = name.removeprefix(index.PREFIX).partition("-")
        segments.append(Segment(name, int(sequence), int(epoch.partition("-")[0]) if epoch else None))
    return segments


@runtime_checkable
class Mappable(Protocol):
    """An object store whose objects lie in local files."""

    def mapped(self, name: str) -> memoryview:
        """Return the object's bytes, memory-mapped. Raises ObjectMissing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """The place of each of n requested chips; pack -1: not found. packs: (p, 32)."""

    packs: U1
    pack: I8
    offset: U8
    stored: U4
    raw: U4
    codec: U1
    back: U4  # bytes from the beginning of the chip's chain

    @property
    def leaning(self) -> Flags:
        """Tell which chips lie in chains that lean on others."""
        leaning: Flags = self.codec >= LEANING
        return leaning

    @property
    def missing(self) -> Flags:
        """Tell which chips were not found."""
        return self.pack < 0

    def take(self, rows: I8 | slice) -> "Located":
        """Return the places of these chips."""
        return Located(
            self.packs,
            self.pack[rows],
            self.offset[rows],
            self.stored[rows],
            self.raw[rows],
            self.codec[rows],
            self.back[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An immutable snapshot of the index. epoch: the newest when it was made."""

    epoch: int
    tables: tuple[Table, ...]
    condemned: U8  # sorted keys of chips that may vanish or are damaged
    sequence: int  # of the newest segment seen; the next one is numbered after it
    segments: tuple[str, ...]  # names of all segments listed
    unreadable: tuple[str, ...] = ()  # those of the segments in use that are damaged: their contents are unknown
    reclaiming: bool = False  # an epoch is unfinished

    def with_own(self, tables: Sequence[Table]) -> "View":
        """Return a view that searches these tables first."""
        return replace(self, tables=(*tables, *self.tables))

    def packs(self) -> set[bytes]:
        """Return the names of all packs that the index knows."""
        return {name.tobytes() for table in self.tables for name in table.packs}

    def leaning_packs(self) -> set[bytes]:
        """Return the names of packs with leaning chains, including those whose chips lie elsewhere by now."""
        return set[bytes]().union(*(table.leaning_packs() for table in self.tables))

    def known(self, keys: U8) -> Flags:
        """Tell which keys are of chips that have a place, damaged or not."""
        found = np.zeros(len(keys), dtype=np.bool_)
        for table in self.tables:
            found |= index.member(table.keys, keys)
        return found

    @property
    def newest_part(self) -> int:
        """The newest epoch that wrote a part of the index, 0 for none."""
        return max((s.epoch or 0 for s in segments_of(self.segments)), default=0)

    def usable(self, digests: U1) -> Flags:
        """Tell which chips exist and will stay if they are pinned now."""
        keys = index.keys_of(digests)
        found = np.zeros(len(keys), dtype=np.bool_)
        for table in self.tables:
            found |= table.find(digests, keys) >= 0
        if len(self.condemned):
            found &= ~index.member(self.condemned, keys)
        return found

    def locate(self, digests: U1) -> Located:
        """Return the places of the chips."""
        keys = index.keys_of(digests)
        count = len(keys)
        found = Located(
            np.concatenate([np.zeros((0, 32), np.uint8), *(t.packs for t in self.tables)]),
            np.full(count, -1, np.int64),
            np.zeros(count, np.uint64),
            np.zeros(count, np.uint32),
            np.zeros(count, np.uint32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.uint32),
        )
        first_pack = 0
        for table in self.tables:
            rows = table.find(digests, keys)
            new = (rows >= 0) & found.missing
            _copy_places(found, table, rows[new], new, first_pack)
            first_pack += len(table.packs)
        return found


def _copy_places(found: Located, table: Table, rows: I8, new: Flags, first_pack: int) -> None:
    found.pack[new] = table.pack[rows].astype(np.int64) + first_pack
    found.offset[new] = table.offset[rows]
    found.stored[new] = table.stored[rows]
    found.raw[new] = table.raw[rows]
    found.codec[new] = table.codec[rows]
    found.back[new] = table.back[rows]


class Views:
    """Makes views, caching the immutable segments it has read. Thread-safe as a pure cache."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._segments: dict[str, Table] = {}
        self._joined: dict[str, tuple[tuple[str, ...], Table]] = {}

    def load(self) -> View:
        """Read the newest epoch, then the index. Retries if a reclaim replaces segments meanwhile."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self._load()
            except ObjectMissing:
                continue
        return self._load()

    def _load(self) -> View:
        # The epoch first: the next check notices if it changes while the index is read.
        epoch = epochs.newest(self._objects)
        condemned = epochs.condemned(self._objects, epoch)
        listed = segments_of(info.name for info in names.listed(self._objects, index.PREFIX, names.SEGMENT))
        oldest = epoch - 1 if condemned else epoch
        current = [s.name for s in listed if s.epoch is None or s.epoch >= oldest]
        segments = dict(self._readable(current))
        self._segments = segments
        unusable = [damage_marks.keys(self._objects), *([condemned.keys] if condemned else [])]
        return View(
            epoch,
            tuple(self._newest_first(segments)),
            index.distinct(np.concatenate(unusable)),
            max((s.sequence for s in listed), default=0),
            tuple(s.name for s in listed),
            tuple(name for name in current if name not in segments),
            reclaiming=condemned is not None,
        )

    def _readable(self, segments: Iterable[str]) -> Iterator[tuple[str, Table]]:
        for name in segments:
            with suppress(DigestMismatch):
                yield name, self.read(name)

    def read(self, name: str) -> Table:
        """Return one segment, proven. Raises ObjectMissing, DigestMismatch."""
        known = self._segments.get(name)
        return self._read(name) if known is None else known

    def _read(self, name: str) -> Table:
        where = f"{self._objects.location}/{name}"
        try:
            table = index.decode(where, _mapped(self._objects, name))
        except DigestMismatch:  # again, as another range, which a cache does not have: the store itself answers
            table = index.decode(where, self._objects.get(name, 0, self._objects.size(name)))
        index.let_go([table])  # proving it read all of it
        return table

    def _newest_first(self, segments: dict[str, Table]) -> Iterator[Table]:
        """Yield the tables to search, adjacent small ones joined: a chip's newest place counts."""
        order = sorted(segments, reverse=True)
        runs = groupby(order, lambda name: len(segments[name]) < SMALL_SEGMENT)
        joined: dict[str, tuple[tuple[str, ...], Table]] = {}
        for small, run in runs:
            names_in_run = tuple(run)
            if small:
                oldest = names_in_run[-1]
                joined[oldest] = names_in_run, self._join(names_in_run, segments)
                yield joined[oldest][1]
            else:
                yield from (segments[name] for name in names_in_run)
        self._joined = joined

    def _join(self, run: tuple[str, ...], segments: dict[str, Table]) -> Table:
        """Join small segments; a join with the same oldest segment is extended, not repeated."""
        before, table = self._joined.get(run[-1], ((), index.EMPTY))
        more = len(run) - len(before)
        if more < 0 or run[more:] != before:
            more, table = len(run), index.EMPTY
        return index.merge([*(segments[name] for name in run[:more]), table]) if more else table


def _mapped(objects: ObjectStore, name: str) -> bytes | memoryview:
    return objects.mapped(name) if isinstance(objects, Mappable) else objects.get(name)

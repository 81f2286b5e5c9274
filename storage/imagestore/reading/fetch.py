"""Reading chips: places to runs of neighbours, runs fetched, decompressed and proven in parallel, in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format.codec import LARGEST_PREFIX, Payload, Unpacker
from storage.imagestore.format.index import I8, U1
from storage.imagestore.format.pack import LARGEST_CHIP, RECORD, object_name
from storage.imagestore.reading.bases import Bases
from storage.imagestore.reading.view import Located, View
from storage.protocols import ObjectStore
from storage.transfer.threads import in_order

RUN_BYTES = 4 << 20  # plain bytes of one fetch
WORKERS = 3
DEEPEST = 3  # a base is read out of a chain that leans on nothing; after a repair of an index it may be another one
AHEAD = 6  # runs being fetched or waiting: bounds the memory


class Run(NamedTuple):
    """Neighbouring records of one pack, from the beginning of a chain. chips: numbers of those asked for, in order."""

    pack: bytes
    start: int
    end: int
    chips: range


class Fetched(NamedTuple):
    """A chip asked for, proven. number: among those asked for; payload: as it is stored; leans_on: what its chain does."""

    number: int
    codec: int
    payload: memoryview
    chip: Payload
    leans_on: bytes


def plan_runs(places: Located, limit: int = RUN_BYTES) -> list[Run]:
    """Return the fetches that read all chips in the order asked for."""
    ends = places.offset + places.stored + RECORD.size
    chains = places.offset - places.back
    together = places.pack[1:] == places.pack[:-1]
    forward = (chains[1:] == ends[:-1]) | ((chains[1:] == chains[:-1]) & (places.offset[1:] >= ends[:-1]))
    breaks = np.flatnonzero(~(forward & together)) + 1
    filled = np.concatenate([[0], np.cumsum(places.raw, dtype=np.int64)])
    heads = np.flatnonzero(np.concatenate([[True], (chains[1:] != chains[:-1]) | ~together]))
    runs: list[Run] = []
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(places.pack)], strict=True):
        at = first
        while at < last:
            stop = int(np.searchsorted(filled, filled[at] + limit, side="right")) - 1
            stop = _chain_end(heads, at, max(stop, at + 1), last)
            pack = places.packs[places.pack[at]].tobytes()
            runs.append(Run(pack, int(chains[at]), int(ends[stop - 1]), range(at, stop)))
            at = stop
    return runs


def _chain_end(heads: I8, at: int, stop: int, last: int) -> int:
    """Return where a run from `at` stops: where a chain does, for the rest of one can't be read without its beginning.

    heads: numbers of the chips that are the first ones asked for of their chains.
    """
    if stop >= last:
        return last
    before = int(np.searchsorted(heads, stop, side="right")) - 1
    if before >= 0 and heads[before] > at:
        return int(heads[before])
    return min(last, int(heads[before + 1])) if before + 1 < len(heads) else last


def _rest_of_chain(places: Located, count: int) -> int:
    """Return how many of the places after the first `count` lie further on in the chain of the one before them."""
    chains = places.offset - places.back
    goes_on = (places.pack[count:] == places.pack[count - 1]) & (chains[count:] == chains[count - 1])
    goes_on &= places.offset[count:] > places.offset[count - 1 : -1]
    return len(goes_on) if goes_on.all() else int(np.argmin(goes_on))


def read_run(
    data: memoryview, run: Run, places: Located, digests: U1, store: str, prefix: Callable[[bytes], bytes]
) -> Iterator[Fetched]:
    """Yield the chips of a run, each proven. data: the run's bytes; store: for messages; prefix: see Unpacker.

    Raises DigestMismatch; ObjectMissing where what a chain leans on is nowhere.
    """
    unpacker = Unpacker(prefix)
    at = 0
    for number in run.chips:
        digest, offset = digests[number].tobytes(), int(places.offset[number])
        where = f"{store}/{object_name(run.pack)} at {offset}, chip {digest.hex()}"
        while at < offset - run.start:  # what its chain leans on, or chips before it in the chain that nobody asked for
            named, codec, raw, payload = _record(data[at:], digest, where)
            unpacker.skip(codec, payload, raw, named, where)
            at += RECORD.size + len(payload)
        named, codec, raw, payload = _record(data[at:], digest, where)
        if named != digest or at != offset - run.start:
            raise DigestMismatch(where, digest.hex(), f"a record of {named.hex()}")
        chip = unpacker.take(codec, payload, raw, digest, where)
        yield Fetched(number, codec, payload, chip, unpacker.leans_on)
        at += RECORD.size + len(payload)


def _record(data: memoryview, digest: bytes, where: str) -> tuple[bytes, int, int, memoryview]:
    """Return (digest, codec, raw bytes, payload) of the first record in `data`."""
    if len(data) >= RECORD.size:
        named, codec, raw, stored = RECORD.unpack_from(data)
        payload = data[RECORD.size : RECORD.size + stored]
        if len(payload) == stored and raw <= LARGEST_CHIP:
            return named, codec, raw, payload
    raise DigestMismatch(where, digest.hex(), f"only {len(data)} bytes of its record")


class ChipSource:
    """Reads chips by digest through a view; a reclaim that moved them meanwhile is noticed and followed."""

    def __init__(
        self,
        objects: ObjectStore,
        view: View,
        reload: Callable[[], View],
        search: Callable[[], View],
        *,
        follow: bool = True,
        depth: int = 0,
    ) -> None:
        self._objects, self._view, self._may_follow = objects, view, follow
        self._reload, self._search = reload, search
        self._depth = depth
        self._followed: ChipSource | None = None
        self._bases = Bases(self._read_bases)

    @property
    def view(self) -> View:
        """Return what the source knows of the store."""
        return self._view

    def prefix(self, listed: bytes) -> bytes:
        """Return the plain bytes of the bases listed, 32 bytes a digest. Raises ObjectMissing, DigestMismatch."""
        return self._bases.prefix(listed)

    def _read_bases(self, digests: U1) -> list[Payload]:
        """Read chips in the order in which they lie, and return them in the order asked for.

        Bases lie in chains that lean on nothing; what a damaged index says otherwise must come to an end.
        """
        if self._depth >= DEEPEST:
            raise DigestMismatch(self._objects.location, "bases that lean on nothing", "chains that lean on each other")
        places = self.places(digests)
        size = int(places.raw.sum(dtype=np.uint64))
        if size > LARGEST_PREFIX:
            raise DigestMismatch(self._objects.location, f"bases of at most {LARGEST_PREFIX} bytes", f"{size} bytes")
        order = np.lexsort((places.offset, places.pack))
        deeper = ChipSource(
            self._objects, self._view, self._reload, self._search, follow=self._may_follow, depth=self._depth + 1
        )
        chips = deeper._read(places.take(order), digests[order])  # of the same class
        found: list[Payload] = [b""] * len(chips)
        for number, chip in zip(order.tolist(), chips, strict=True):
            found[number] = chip
        return found

    def read(self, digests: U1) -> list[Payload]:
        """Return the chips, proven. Raises ObjectMissing, DigestMismatch naming pack and offset."""
        return self._read(self.places(digests), digests)

    def _read(self, places: Located, digests: U1) -> list[Payload]:
        chips: list[Payload] = []
        for run in plan_runs(places):
            chips.extend(self.fetch(run, places, digests))
        return chips

    def read_on(self, digests: U1, count: int) -> list[Payload]:
        """Return the first `count` chips, and those after them that go on with the last one's chain.

        Whoever reads on will want them next, and would have the chain unpacked from its beginning for each.
        """
        places = self._view.locate(digests)
        more = 0 if places.missing[:count].any() else _rest_of_chain(places, count)
        if more:
            with suppress(DigestMismatch, ObjectMissing):  # of the chips that nobody asked for
                return self._read(places.take(slice(count + more)), digests[: count + more])
        return self.read(digests[:count])

    def places(self, digests: U1) -> Located:
        """Return where chips lie, all of them. Raises ObjectMissing naming the first that is nowhere."""
        places = self._view.locate(digests)
        for look in (self._reload, self._search):  # moved meanwhile; or its index was lost, and is rebuilt
            if not places.missing.any():
                return places
            self._view = look()
            places = self._view.locate(digests)
        if places.missing.any():
            first = digests[int(np.flatnonzero(places.missing)[0])].tobytes().hex()
            raise ObjectMissing(f"{self._objects.location}: chip {first}")
        return places

    def fetch(self, run: Run, places: Located, digests: U1) -> list[Payload]:
        """Return the chips of one run, proven."""
        try:
            data = memoryview(self._objects.get(object_name(run.pack), run.start, run.end))
            found = read_run(data, run, places, digests, self._objects.location, self.prefix)
            return [done.chip for done in found]
        except (ObjectMissing, DigestMismatch):
            if not self._may_follow:
                raise
            return self._follow(digests[run.chips.start : run.chips.stop])

    def _follow(self, digests: U1) -> list[Payload]:
        """Read chips again that were moved or repaired since the view was made; if it fails again, it counts.

        What was followed last is asked first: where packs were written anew, all that comes next was moved as well.
        """
        if self._followed is not None:
            with suppress(ObjectMissing, DigestMismatch):
                return self._followed.read(digests)
        again = ChipSource(self._objects, self._reload(), self._reload, self._search, follow=False, depth=self._depth)
        self._followed = again
        return again.read(digests)

    def stream(
        self, digests: U1, done: Callable[[range, Sequence[Payload]], None] | None = None
    ) -> Iterator[Sequence[Payload]]:
        """Yield all chips in order, a run at a time, fetched ahead by a few threads.

        done: called in those threads with the numbers and bytes of a run's chips, in no order.
        """
        places = self.places(digests)

        def work(run: Run) -> Sequence[Payload]:
            chips = self.fetch(run, places, digests)
            if done is not None:
                done(run.chips, chips)
            return chips

        yield from in_order(work, plan_runs(places), workers=WORKERS, room=AHEAD)

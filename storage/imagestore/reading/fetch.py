"""Reading chips: places are grouped into runs, which are fetched, decompressed and proven in parallel, in order."""

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
DEEPEST = 3  # bases lie in chains that do not lean; after the repair of an index they may lean too
AHEAD = 6  # runs being fetched or waiting: limits the memory


class Run(NamedTuple):
    """Adjacent records of one pack, from the beginning of a chain. chips: numbers of the requested ones, in order."""

    pack: bytes
    start: int
    end: int
    chips: range


class Fetched(NamedTuple):
    """A requested chip, proven. number: among those requested; payload: as stored; leans_on: its chain's bases."""

    number: int
    codec: int
    payload: memoryview
    chip: Payload
    leans_on: bytes


def plan_runs(places: Located, limit: int = RUN_BYTES) -> list[Run]:
    """Return the fetches that read all chips in the requested order."""
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
    """Return where a run from `at` stops: at the end of a chain, since its rest can't be read without its beginning.

    heads: numbers of the chips that are the first requested ones of their chains.
    """
    if stop >= last:
        return last
    before = int(np.searchsorted(heads, stop, side="right")) - 1
    if before >= 0 and heads[before] > at:
        return int(heads[before])
    return min(last, int(heads[before + 1])) if before + 1 < len(heads) else last


def _rest_of_chain(places: Located, count: int) -> int:
    """Return how many places after the first `count` continue the chain of the one before them."""
    chains = places.offset - places.back
    goes_on = (places.pack[count:] == places.pack[count - 1]) & (chains[count:] == chains[count - 1])
    goes_on &= places.offset[count:] > places.offset[count - 1 : -1]
    return len(goes_on) if goes_on.all() else int(np.argmin(goes_on))


def read_run(
    data: memoryview, run: Run, places: Located, digests: U1, store: str, prefix: Callable[[bytes], bytes]
) -> Iterator[Fetched]:
    """Yield the chips of a run, each proven. data: the run's bytes; store: for messages; prefix: see Unpacker.

    Raises DigestMismatch; ObjectMissing if a base of a chain is missing.
    """
    unpacker = Unpacker(prefix)
    at = 0
    for number in run.chips:
        digest, offset = digests[number].tobytes(), int(places.offset[number])
        where = f"{store}/{object_name(run.pack)} at {offset}, chip {digest.hex()}"
        while at < offset - run.start:  # the chain's bases, or earlier chips of the chain that were not requested
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
    """Reads chips by digest through a view; follows chips that a reclaim moved meanwhile."""

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
        """Return the source's view of the store."""
        return self._view

    def prefix(self, listed: bytes) -> bytes:
        """Return the plain bytes of these bases, 32 bytes per digest. Raises ObjectMissing, DigestMismatch."""
        return self._bases.prefix(listed)

    def _read_bases(self, digests: U1) -> list[Payload]:
        """Read chips in storage order, and return them in the requested order.

        Bases lie in chains that lean on nothing; if a damaged index says otherwise, the recursion still has to end.
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
        """Return the first `count` chips, and those after them that continue the last one's chain.

        A sequential reader needs them next, and otherwise the chain would be unpacked from its beginning for each.
        """
        places = self._view.locate(digests)
        more = 0 if places.missing[:count].any() else _rest_of_chain(places, count)
        if more:
            with suppress(DigestMismatch, ObjectMissing):  # of chips that were not requested
                return self._read(places.take(slice(count + more)), digests[: count + more])
        return self.read(digests[:count])

    def places(self, digests: U1) -> Located:
        """Return the places of all these chips. Raises ObjectMissing naming the first that is missing."""
        places = self._view.locate(digests)
        for look in (self._reload, self._search):  # moved meanwhile; or their index was lost, and is rebuilt
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
        """Read again chips that were moved or repaired since the view was made; a second failure is final.

        The last source that was followed is tried first: if packs were rewritten, all following chips were moved too.
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

        done: called in those threads with the numbers and bytes of a run's chips, in any order.
        """
        places = self.places(digests)

        def work(run: Run) -> Sequence[Payload]:
            chips = self.fetch(run, places, digests)
            if done is not None:
                done(run.chips, chips)
            return chips

        yield from in_order(work, plan_runs(places), workers=WORKERS, room=AHEAD)

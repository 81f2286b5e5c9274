"""Reading chips: places to runs of neighbours, runs fetched, decompressed and proven in parallel, in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing
from storage.chips.codec import decode
from storage.chips.index import U1
from storage.chips.pack import RECORD, object_name
from storage.chips.view import Located, View
from storage.protocols import ObjectStore

T = TypeVar("T")
RUN_BYTES = 2 << 20  # plain bytes of one fetch
WORKERS = 3
AHEAD = 6  # runs being fetched or waiting: bounds the memory


class Run(NamedTuple):
    """Neighbouring records of one pack. chips: numbers of the chips asked for, in order."""

    pack: bytes
    start: int
    end: int
    chips: range


def plan_runs(places: Located, limit: int = RUN_BYTES) -> list[Run]:
    """Return the fetches that read all chips in the order asked for."""
    ends = places.offset + places.stored + RECORD.size
    joined = (places.pack[1:] == places.pack[:-1]) & (places.offset[1:] == ends[:-1])
    breaks = np.flatnonzero(~joined) + 1
    filled = np.concatenate([[0], np.cumsum(places.raw, dtype=np.int64)])
    runs: list[Run] = []
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(places.pack)], strict=True):
        at = first
        while at < last:
            stop = int(np.searchsorted(filled, filled[at] + limit, side="right")) - 1
            stop = min(last, max(stop, at + 1))
            pack = places.packs[places.pack[at]].tobytes()
            runs.append(Run(pack, int(places.offset[at]), int(ends[stop - 1]), range(at, stop)))
            at = stop
    return runs


class ChipSource:
    """Reads chips by digest through a view; a reclaim that moved them meanwhile is noticed and followed."""

    def __init__(
        self, objects: ObjectStore, view: View, reload: Callable[[], View], *, follow: bool = True
    ) -> None:
        self._objects, self._view, self._reload, self._may_follow = objects, view, reload, follow

    def read(self, digests: U1) -> list[bytes | memoryview]:
        """Return the chips, proven. Raises ObjectMissing, DigestMismatch naming pack and offset."""
        places = self.places(digests)
        chips: list[bytes | memoryview] = []
        for run in plan_runs(places):
            chips.extend(self.fetch(run, places, digests))
        return chips

    def places(self, digests: U1) -> Located:
        """Return where chips lie, all of them. Raises ObjectMissing naming the first that is nowhere."""
        places = self._view.locate(digests)
        if places.missing.any():
            self._view = self._reload()
            places = self._view.locate(digests)
        if places.missing.any():
            first = digests[int(np.flatnonzero(places.missing)[0])].tobytes().hex()
            raise ObjectMissing(f"{self._objects.location}: chip {first}")
        return places

    def fetch(self, run: Run, places: Located, digests: U1) -> list[bytes | memoryview]:
        """Return the chips of one run, proven."""
        try:
            data = memoryview(self._objects.get(object_name(run.pack), run.start, run.end))
            return [self._chip(data, run, places, digests[i].tobytes(), i) for i in run.chips]
        except (ObjectMissing, DigestMismatch):
            if not self._may_follow:
                raise
            return self._follow(digests[run.chips.start : run.chips.stop])

    def _chip(self, data: memoryview, run: Run, places: Located, digest: bytes, i: int) -> bytes | memoryview:
        offset, stored = int(places.offset[i]), int(places.stored[i])
        where = f"{self._objects.location}/{object_name(run.pack)} at {offset}, chip {digest.hex()}"
        at = offset - run.start
        record = data[at : at + RECORD.size + stored]
        if len(record) < RECORD.size + stored:
            raise DigestMismatch(where, digest.hex(), f"only {len(record)} bytes of its record")
        named, codec, raw, length = RECORD.unpack_from(record)
        if (named, length) != (digest, stored):
            raise DigestMismatch(where, digest.hex(), f"a record of {named.hex()}")
        return decode(codec, record[RECORD.size :], raw, digest, where)

    def _follow(self, digests: U1) -> list[bytes | memoryview]:
        """Read chips again that were moved or repaired since the view was made; if it fails again, it counts."""
        again = ChipSource(self._objects, self._reload(), self._reload, follow=False)
        return again.read(digests)

    def stream(
        self, digests: U1, done: Callable[[int, bytes | memoryview], None] | None = None
    ) -> Iterator[Sequence[bytes | memoryview]]:
        """Yield all chips in order, a run at a time, fetched ahead by a few threads.

        done: called in those threads with (number of the chip, its bytes), in no order.
        """
        places = self.places(digests)

        def work(run: Run) -> Sequence[bytes | memoryview]:
            chips = self.fetch(run, places, digests)
            if done is not None:
                for number, chip in zip(run.chips, chips, strict=True):
                    done(number, chip)
            return chips

        yield from in_order(work, plan_runs(places))


def in_order(work: Callable[[Run], T], runs: Sequence[Run]) -> Iterator[T]:
    """Yield the results of `work` in order, a few runs being worked on ahead."""
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
    try:
        for run in runs:
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, run))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

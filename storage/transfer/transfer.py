"""One pass over a stream: read → digests ∥ consumers ∥ landings, with read-ahead, back-pressure and bounded memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from catalog.errors import ImagewrightError
from storage.protocols import Landing, Progress, SourceStream
from storage.transfer.bandwidth import Pace
from storage.transfer.digests import Digester
from storage.transfer.threads import Lane

# A SIGKILL loses the blocks in transit: 1 MiB x (3 waiting + 1 in work + 3 in the landing) < 8 MiB. If they are noted,
# or can be read again at no cost, they may be larger: passing 1 MiB blocks between threads takes a sixth of an add.
BLOCK_BYTES = 1 << 20
LARGE_BLOCK_BYTES = 4 << 20
WAITING_BYTES = 3 << 20
NOTE_BYTES = 1 << 20
"""Noted at once: a death loses less than this, and the kernel's received bytes."""
SLOW_BLOCK_S = 0.5
"""A block that takes longer is passed on as it is, so that the slowest line shows progress and can be stopped."""
LARGE_BLOCK_S = 0.02
"""A large block that takes longer is passed on at BLOCK_BYTES: the rest of the add waits for the line anyway."""

Consumer = Callable[[memoryview], None]
Note = Callable[[int, memoryview], None]
"""Called with bytes read, before a block is passed on: their offset, and at most NOTE_BYTES of them."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """The result of a transfer. size_bytes: end offset; failed: dropped landings, by position, with the reason."""

    size_bytes: int
    failed: Mapping[int, ImagewrightError] = field(default_factory=dict)


def transfer(
    stream: SourceStream,
    landings: Sequence[Landing],
    digester: Digester,
    consumers: Sequence[Consumer] = (),
    *,
    start: int = 0,
    size_bytes: int | None = None,
    progress: Progress | None = None,
    pace: Pace | None = None,
    block_bytes: int = BLOCK_BYTES,
    note: Note | None = None,
) -> Transferred:
    """Read `stream` to its end once, into all of `landings`, `digester` and `consumers`, each in its own thread.

    start: offset of the stream's first byte; all of them have taken exactly that many bytes before.
    pace: limits the reading; None: no limit.
    block_bytes: largest block passed on at once; larger ones are faster, and a death loses more.
    A consumer's error ends the transfer and is raised. A landing's error drops that landing, and is raised when none is
    left. An error of the stream is raised after all have taken the bytes read so far, so that another transfer may
    continue at `digester.size_bytes`.
    """
    lanes = _Lanes(landings, consumers, max(2, WAITING_BYTES // block_bytes))
    blocks = _Blocks(stream, start, pace, block_bytes, note)
    offset = start
    try:
        while len(block := blocks.next()):
            digester.feed(block)
            lanes.put(block)
            offset += len(block)
            if progress is not None:
                progress(offset, size_bytes)
    finally:
        lanes.stop()
    lanes.check()
    if blocks.failure is not None:
        raise blocks.failure
    return Transferred(offset, dict(lanes.failed))


class _Blocks:
    """Fresh blocks of a stream, never written to again, so that no consumer needs a copy."""

    def __init__(
        self, stream: SourceStream, offset: int, pace: Pace | None, block_bytes: int, note: Note | None
    ) -> None:
        self._stream, self._offset, self._pace = stream, offset, pace
        self._block_bytes, self._note = block_bytes, note
        self.failure: Exception | None = None

    def next(self) -> memoryview:
        """Return the next block; an empty one at the end, or once `failure` is set."""
        # numpy's memory is not zeroed first, a bytearray's is: 5 % of a core at full speed.
        from numpy import empty, uint8

        buffer = empty(self._size() if self.failure is None else 0, dtype=uint8).data
        filled, noted, began = 0, 0, time.monotonic()
        try:
            while filled < len(buffer) and (count := self._stream.readinto(buffer[filled:])):
                filled += count
                while filled - noted >= NOTE_BYTES:
                    noted += self._noted(buffer[noted : noted + NOTE_BYTES])
                if time.monotonic() - began > (SLOW_BLOCK_S if filled < BLOCK_BYTES else LARGE_BLOCK_S):
                    break
        except Exception as failure:  # noqa: BLE001  # raised again once all have taken the bytes before it
            self.failure = failure
        self._noted(buffer[noted:filled])
        if self._pace is not None:
            self._pace.spend(filled)
        return buffer[:filled].toreadonly()

    def _noted(self, piece: memoryview) -> int:
        if self._note is not None:
            self._note(self._offset, piece)
        self._offset += len(piece)
        return len(piece)

    def _size(self) -> int:
        return self._block_bytes if self._pace is None else min(self._block_bytes, self._pace.burst_bytes)


class _Lanes:
    """One lane per consumer and landing."""

    def __init__(self, landings: Sequence[Landing], consumers: Sequence[Consumer], depth: int) -> None:
        self.failed: dict[int, ImagewrightError] = {}
        self._landings = len(landings)
        self._lanes = [Lane(consumer, "consumer", depth) for consumer in consumers]
        self._lanes += [Lane(self._writing(n, landing), f"land-{n}", depth) for n, landing in enumerate(landings)]

    def put(self, block: memoryview) -> None:
        for lane in self._lanes:
            lane.put(block)
        self._check_landings()

    def stop(self) -> None:
        for lane in self._lanes:
            lane.stop()

    def check(self) -> None:
        """Raise the failure of a consumer, or of the last landing."""
        for lane in self._lanes:
            if lane.failure is not None:
                raise lane.failure
        self._check_landings()

    def _check_landings(self) -> None:
        if self.failed and len(self.failed) == self._landings:
            raise next(iter(self.failed.values()))

    def _writing(self, number: int, landing: Landing) -> Consumer:
        def write(block: memoryview) -> None:
            if number not in self.failed:
                try:
                    landing.write(block)
                except ImagewrightError as failure:
                    self.failed[number] = failure

        return write

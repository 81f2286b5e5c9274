"""The kept parts of a stream: its head, its tail, and the ranges that a format requested on the way.

Memory is bounded for any file: HEAD + TAIL + one piece (at most PIECE bytes) for each `Want`.
"""

from collections.abc import Callable
from typing import Protocol, SupportsInt

HEAD = (1 << 20) + (64 << 10)
"""Bytes kept from the start: qemu reads at most 1 MiB of a VMDK descriptor; the rest holds every other header."""

TAIL = 4096
"""Bytes kept from the end: VHD footer (512), VMDK footer and end marker (1536), DMG trailer (512)."""

PIECE = 2 << 20
"""Largest single piece that may be requested: one qcow2 cluster."""


_NOTHING: tuple[memoryview, int] = (memoryview(b""), 0)


class Bytes(Protocol):
    """Anything that can be read at an offset: a stored image, or a file."""

    size_bytes: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        ...


class Starts(Protocol):
    """Ascending offsets, bytes: a tuple, or a numpy array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> SupportsInt: ...


class Want:
    """Pieces of equal length, in order and without overlap, each handed to `take(start, piece)` when complete."""

    def __init__(self, starts: Starts, length: int, take: Callable[[int, bytes], None]) -> None:
        if not 0 < length <= PIECE:
            raise ValueError(f"length: {length} is not allowed; 1 to {PIECE} bytes")
        self.length, self.take = length, take
        self._starts, self._next, self._piece = starts, 0, bytearray()

    @property
    def satisfied(self) -> bool:
        """Tell whether every piece was handed over."""
        return self._next >= len(self._starts)

    def feed(self, block: memoryview, position: int) -> None:
        """Take the wanted bytes from `block`, which lies at `position`. Stops at a piece whose start has passed."""
        end = position + len(block)
        while not self.satisfied:
            start = int(self._starts[self._next])
            here = start + len(self._piece)
            if not position <= here < end:
                return
            self._piece += block[here - position : min(start + self.length, end) - position]
            if len(self._piece) == self.length:
                self._hand_over(start)

    def read(self, source: Bytes) -> None:
        """Fetch the missing pieces from a seekable source; pieces past its end are handed over short."""
        while not self.satisfied:
            start = int(self._starts[self._next])
            self._piece = bytearray(source.read_at(start, self.length))
            self._hand_over(start)

    def _hand_over(self, start: int) -> None:
        piece, self._piece = bytes(self._piece), bytearray()
        self._next += 1
        self.take(start, piece)


class Regions:
    """The kept parts of a stream. Feed blocks of any size in order."""

    def __init__(self, on_head: Callable[["Regions"], None]) -> None:
        """on_head: called once, when the head is complete or the stream ended; may `want` more."""
        self.size_bytes = 0
        self.ended = False
        self.missed = False  # a piece was requested after it had passed
        self._head, self._tail = bytearray(), bytearray()
        self._on_head: Callable[[Regions], None] | None = on_head
        self._wants: list[Want] = []
        self._current = _NOTHING

    @property
    def head(self) -> bytes:
        """The first bytes, at most HEAD."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The last bytes, at most TAIL."""
        return bytes(self._tail[-TAIL:])

    @property
    def head_complete(self) -> bool:
        """Tell whether the head will not grow any more."""
        return self._on_head is None

    @property
    def complete(self) -> bool:
        """Tell whether every wanted piece was seen."""
        return not self.missed

    def want(self, starts: Starts, length: int, take: Callable[[int, bytes], None]) -> None:
        """Request pieces. Pieces in the head or in the present block are found even though they came earlier."""
        want = Want(starts, length, take)
        with memoryview(self._head) as head:  # copying 1 MiB for each of a thousand tables would be noticeable
            want.feed(head, 0)
        want.feed(*self._current)
        if not want.satisfied:
            self._wants.append(want)

    def feed(self, block: memoryview) -> None:
        """Take the next bytes of the stream."""
        if self._on_head is not None and self.size_bytes + len(block) >= HEAD:
            cut = HEAD - self.size_bytes
            self._take(block[:cut])
            self._begin()
            block = block[cut:]
        self._take(block)

    def skip(self, size_bytes: int, tail: bytes) -> None:
        """Skip the bytes between the head and the tail of a file; `complete_from` fetches wanted pieces of it.

        Raises ValueError before the head is complete.
        """
        if not self.head_complete:
            raise ValueError("only what follows the head can be left out")
        self.size_bytes = size_bytes
        self._tail[:] = tail[-TAIL:]

    def finish(self) -> None:
        """Record the end of the stream."""
        self._begin()
        self.ended = True
        self.missed = any(not want.satisfied for want in self._wants)

    def complete_from(self, source: Bytes) -> None:
        """Fetch what the stream did not show by random access."""
        while self._wants:
            self._wants.pop().read(source)
        self.missed = False

    def _begin(self) -> None:
        if self._on_head is not None:
            on_head, self._on_head = self._on_head, None
            on_head(self)

    def _take(self, block: memoryview) -> None:
        position, self.size_bytes = self.size_bytes, self.size_bytes + len(block)
        if position < HEAD:
            self._head += block[: HEAD - position]
        self._keep_tail(block)
        self._current = (block, position)
        for want in tuple(self._wants):
            want.feed(block, position)
        if self._wants:
            self._wants = [want for want in self._wants if not want.satisfied]
        self._current = _NOTHING

    def _keep_tail(self, block: memoryview) -> None:
        if len(block) >= TAIL:
            self._tail[:] = block[-TAIL:]
            return
        self._tail += block
        if len(self._tail) > 16 * TAIL:
            del self._tail[:-TAIL]

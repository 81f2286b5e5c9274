"""The guest's disk of a qcow2 file unfolded as it arrives: assembles its objects and writes each once."""

from collections import OrderedDict
from collections.abc import Callable

from storage.ceph.layout import OBJECT_BYTES, ZEROS, bytes_of, data_runs, is_zero, object_count, object_length, row_of
from storage.ceph.qcow2.placement import Placement

Write = Callable[[int, bytes], None]
Runs = list[tuple[int, int]]

OPEN_OBJECTS = 4  # a death loses the open objects and everything after them in the file: at most 16 MiB
WORTH_HOLDING = 1 << 20  # smaller pieces are copied: a view would keep its 4 MiB block alive


class _Open:
    """An object being assembled."""

    def __init__(self, length: int) -> None:
        self.length, self.filled = length, 0
        self._pieces: dict[int, bytes | memoryview] = {}

    def put(self, inside: int, part: memoryview) -> None:
        """Put bytes at an offset that holds nothing yet."""
        self._pieces[inside] = part if len(part) >= WORTH_HOLDING else bytes(part)
        self.filled += len(part)

    def whole(self) -> bytes:
        """Return the object; missing bytes are zeros."""
        parts, at = list[bytes | memoryview](), 0
        for inside, piece in sorted(self._pieces.items()):
            parts += [memoryview(ZEROS)[: inside - at], piece]
            at = inside + len(piece)
        return b"".join([*parts, memoryview(ZEROS)[: self.length - at]])


class GuestDisk:
    """Moves clusters of the file to their place in the disk, bytes [0, base) of the image; the rest lies behind."""

    def __init__(self, placement: Placement, base: int) -> None:
        self.placement, self.base = placement, base
        self.size_bytes = placement.header.size_bytes
        self.rows: dict[int, bytes] = {}  # of objects written whole
        self.torn: set[int] = set()  # objects written in parts; their rows are computed by reading them back
        self.stored_bytes = 0
        self._open: OrderedDict[int, _Open] = OrderedDict()

    def take(self, index: int, block: memoryview, runs: Runs, write: Write) -> Runs:
        """Learn from object `index` of the file, take the disk's clusters, and return the data runs that stay."""
        self.placement.feed(index, block)
        moved = self.placement.moved(index, len(block))
        for start, end, guest in moved:
            self._put(guest, block[start:end], write)
        return _without(runs, [(start, end) for start, end, _ in moved])

    def flush(self, write: Write) -> None:
        """Write the open objects."""
        while self._open:
            self._close(next(iter(self._open)), write)

    def resumed(self, touched: set[int], stored_bytes: int) -> None:
        """Resume a disk that was partly written before."""
        self.torn, self.stored_bytes = touched, stored_bytes

    @property
    def object_count(self) -> int:
        """The number of objects in the disk."""
        return object_count(self.size_bytes)

    def _put(self, guest: int, data: memoryview, write: Write) -> None:
        while data:
            index, inside = divmod(guest, OBJECT_BYTES)
            part = data[: OBJECT_BYTES - inside]
            self._put_part(index, inside, part, write)
            guest, data = guest + len(part), data[len(part) :]

    def _put_part(self, index: int, inside: int, part: memoryview, write: Write) -> None:
        if index in self.rows or index in self.torn:
            self.rows.pop(index, None)
            self.torn.add(index)
            self._write(index * OBJECT_BYTES + inside, part, write)
            return
        found = self._open.get(index) or self._open.setdefault(index, _Open(object_length(self.size_bytes, index)))
        self._open.move_to_end(index)
        found.put(inside, part)
        if found.filled >= found.length:
            self._close(index, write)
        elif len(self._open) > OPEN_OBJECTS:
            self._close(next(iter(self._open)), write)

    def _close(self, index: int, write: Write) -> None:
        block = self._open.pop(index).whole()
        self.rows[index] = row_of(block)
        self._write(index * OBJECT_BYTES, memoryview(block), write)

    def _write(self, offset: int, block: memoryview, write: Write) -> None:
        if is_zero(block):
            return
        for first, last in data_runs(block):
            write(offset + first, bytes_of(block, first, last))
            self.stored_bytes += last - first


def _without(runs: Runs, taken: Runs) -> Runs:
    """Cut the taken ranges out of the runs; both are in order."""
    left: Runs = []
    for first, last in runs:
        start = first
        for away, back in taken:
            if back <= start or away >= last:
                continue
            if away > start:
                left.append((start, away))
            start = back
        if start < last:
            left.append((start, last))
    return left

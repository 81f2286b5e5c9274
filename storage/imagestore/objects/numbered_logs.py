"""Logs and writers for stores that have whole objects only: a log is a prefix `<name>.log/` with one numbered object a piece.

Nothing is kept aside: what is being written waits in memory until it is published with one put, so that no half object is
ever left behind.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from storage.protocols import ObjectInfo, ObjectWriter

LOG = ".log/"


class NumberedLogs:
    """What a store with `create`, `put`, `get` and `list` needs for the rest of the protocol."""

    piece_bytes = 16 << 20  # a piece costs a request, and a pack that was not published is lost anyway

    def __init__(self) -> None:
        self._next_piece: dict[str, int] = {}

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Create, or return False if the name exists."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Create or replace."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, sorted by name."""

    @abstractmethod
    def get_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield objects in the order of their names, fetched a few at a time."""

    @abstractmethod
    def delete_each(self, names: Sequence[str]) -> None:
        """Delete objects, a few at a time; one that is not there is deleted."""

    def append(self, name: str, data: bytes) -> None:
        """Add a piece under the next number; a number that somebody else took is left to them."""
        if name not in self._next_piece:
            last = [info.name for info in self.list(f"{name}{LOG}")][-1:]
            self._next_piece[name] = int(last[0].rsplit("/", 1)[1]) + 1 if last else 0
        while not self.create(_piece(name, self._next_piece[name]), data):
            self._next_piece[name] += 1
        self._next_piece[name] += 1

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log."""
        yield from self.get_each([info.name for info in self.list(f"{name}{LOG}")])

    def writer(self, aside: str) -> ObjectWriter:
        """Start an object, kept in memory until it is published."""
        return _Writer(self, aside)

    def delete(self, name: str) -> None:
        """Delete an object, and a log with all its pieces."""
        self._next_piece.pop(name, None)
        # a piece of a log has none of its own: not asking halves the time of removing a landing
        pieces = [] if LOG in name else [info.name for info in self.list(f"{name}{LOG}")]
        self.delete_each([*pieces, name])


def _piece(name: str, number: int) -> str:
    return f"{name}{LOG}{number:08d}"


class _Writer:
    def __init__(self, store: NumberedLogs, aside: str) -> None:
        self._store, self._aside = store, aside
        self._parts: list[bytes] | None = []

    def write(self, *parts: bytes | memoryview) -> None:
        if self._parts is not None:
            # a view would keep its whole block
            self._parts += [part if isinstance(part, bytes) else bytes(part) for part in parts]

    def publish(self, name: str) -> None:
        if self._parts is not None:
            self._parts = [b"".join(self._parts)]  # what it is made of is let go before the minutes that a put may take
            self._store.put(name, self._parts[0])
            self._parts = None

    def abandon(self) -> None:
        self._parts = None

    def leave(self) -> None:
        self._parts = None

"""Logs and writers for stores of whole objects: a log is a prefix `<name>.log/` with one numbered object per piece.

There are no temporary objects: written bytes wait in memory until one put publishes them, so no half object is ever
left.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from storage.protocols import ObjectInfo, ObjectWriter

LOG = ".log/"


class NumberedLogs:
    """The rest of the protocol for a store that has `create`, `put`, `get` and `list`."""

    piece_bytes = 16 << 20  # a piece costs a request, and an unpublished pack is lost anyway

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
        """Delete objects, a few at a time; absent ones are ignored."""

    def append(self, name: str, data: bytes) -> None:
        """Append a piece under the next number that no other writer took."""
        if name not in self._next_piece:
            last = [info.name for info in self.list(f"{name}{LOG}")][-1:]
            self._next_piece[name] = int(last[0].rsplit("/", 1)[1]) + 1 if last else 0
        while not self.create(_piece(name, self._next_piece[name]), data):
            self._next_piece[name] += 1
        self._next_piece[name] += 1

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log."""
        yield from self.get_each([info.name for info in self.list(f"{name}{LOG}")])

    def writer(self, _aside: str) -> ObjectWriter:
        """Start an object that stays in memory until it is published."""
        return _Writer(self)

    def delete(self, name: str) -> None:
        """Delete an object, and a log with all its pieces."""
        self._next_piece.pop(name, None)
        # a piece of a log is no log: skipping the check halves the time to remove a landing
        pieces = [] if LOG in name else [info.name for info in self.list(f"{name}{LOG}")]
        self.delete_each([*pieces, name])


def _piece(name: str, number: int) -> str:
    return f"{name}{LOG}{number:08d}"


class _Writer:
    def __init__(self, store: NumberedLogs) -> None:
        self._store = store
        self._parts: list[bytes] | None = []

    def write(self, *parts: bytes | memoryview) -> None:
        if self._parts is not None:
            # a view would keep its whole block
            self._parts += [part if isinstance(part, bytes) else bytes(part) for part in parts]

    def publish(self, name: str) -> None:
        if self._parts is not None:
            self._parts = [b"".join(self._parts)]  # release the parts before a put that may take minutes
            self._store.put(name, self._parts[0])
            self._parts = None

    def abandon(self) -> None:
        self._parts = None

    def leave(self) -> None:
        self._parts = None

"""An ObjectStore in memory: the reference implementation of the protocol, and fast for tests."""

from collections.abc import Iterator
from threading import Lock

from catalog.errors import ObjectMissing
from catalog.records import Capacity
from storage.protocols import ObjectInfo, ObjectWriter


class MemoryObjects:
    """Objects and logs in dictionaries; strongly consistent, lost with the process."""

    piece_bytes = 1 << 20

    def __init__(self, location: str = "memory://") -> None:
        self.location = location
        self._objects: dict[str, bytes] = {}
        self._logs: dict[str, list[bytes]] = {}
        self._lock = Lock()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        try:
            return self._objects[name][start:end]
        except KeyError as error:
            raise ObjectMissing(f"{self.location}/{name}") from error

    def put(self, name: str, data: bytes) -> None:
        """Create or replace."""
        with self._lock:
            self._objects[name] = bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        """Create, or return False if the name exists."""
        with self._lock:
            if name in self._objects:
                return False
            self._objects[name] = bytes(data)
            return True

    def append(self, name: str, data: bytes) -> None:
        """Add a piece to a log."""
        with self._lock:
            self._logs.setdefault(name, []).append(bytes(data))

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log."""
        yield from tuple(self._logs.get(name, ()))

    def writer(self, aside: str) -> ObjectWriter:
        """Start an unpublished object."""
        return _Writer(self, aside)

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        data = self._objects.get(name)
        return None if data is None else len(data)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects and logs by name."""
        with self._lock:
            sizes = {name: len(data) for name, data in self._objects.items()}
            sizes |= {name: sum(map(len, pieces)) for name, pieces in self._logs.items()}
        for name in sorted(sizes):
            if name.startswith(prefix):
                yield ObjectInfo(name=name, size_bytes=sizes[name])

    def delete(self, name: str) -> None:
        """Delete an object or a log."""
        with self._lock:
            self._objects.pop(name, None)
            self._logs.pop(name, None)

    def capacity(self) -> Capacity | None:
        """Return None: memory has no fixed limit."""
        return None


class _Writer:
    def __init__(self, store: MemoryObjects, aside: str) -> None:
        self._store, self._aside, self._open = store, aside, True
        store.put(aside, b"")

    def write(self, *parts: bytes | memoryview) -> None:
        self._store.put(self._aside, b"".join((self._store.get(self._aside), *parts)))

    def publish(self, name: str) -> None:
        if self._open:
            self._open = False
            self._store.put(name, self._store.get(self._aside))
            self._store.delete(self._aside)

    def abandon(self) -> None:
        if self._open:
            self._open = False
            self._store.delete(self._aside)

    def leave(self) -> None:
        self._open = False

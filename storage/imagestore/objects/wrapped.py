"""The base of all ObjectStore wrappers. Each overrides the methods it changes."""

from collections.abc import Iterator

from catalog.records import Capacity
from storage.protocols import ObjectInfo, ObjectStore, ObjectWriter


class WrappedObjects:
    """Passes every call to the wrapped store."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.location = inner.location
        self.piece_bytes = inner.piece_bytes

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`."""
        return self.inner.get(name, start, end)

    def put(self, name: str, data: bytes) -> None:
        """Create or replace."""
        self.inner.put(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Create, or return False if the name exists."""
        return self.inner.create(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Add a piece to a log."""
        self.inner.append(name, data)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log."""
        return self.inner.pieces(name)

    def writer(self, aside: str) -> ObjectWriter:
        """Start an unpublished object."""
        return self.inner.writer(aside)

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        return self.inner.size(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects."""
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        """Delete an object or a log."""
        self.inner.delete(name)

    def capacity(self) -> Capacity | None:
        """Return the capacity of the medium."""
        return self.inner.capacity()

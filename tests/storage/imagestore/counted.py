"""Counting what goes over the wire to an object store, e.g. what a sync really sent."""

from collections import Counter
from threading import Lock

from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectStore, ObjectWriter


class CountingObjects(WrappedObjects):
    """calls: by operation; read_bytes, written_bytes: payload in all."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.read_bytes = 0
        self.written_bytes = 0
        self._lock = Lock()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`, counted."""
        data = self.inner.get(name, start, end)
        self.count("get", read=len(data))
        return data

    def put(self, name: str, data: bytes) -> None:
        """Create or replace, counted."""
        self.count("put", written=len(data))
        self.inner.put(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Create exclusively, counted."""
        self.count("create", written=len(data))
        return self.inner.create(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Add a piece to a log, counted."""
        self.count("append", written=len(data))
        self.inner.append(name, data)

    def writer(self, aside: str) -> ObjectWriter:
        """Start an object aside, its bytes counted."""
        self.count("writer")
        return _CountingWriter(self, self.inner.writer(aside))

    def count(self, call: str, read: int = 0, written: int = 0) -> None:
        """Add to the sums."""
        with self._lock:
            self.calls[call] += 1
            self.read_bytes += read
            self.written_bytes += written


class _CountingWriter:
    def __init__(self, store: CountingObjects, inner: ObjectWriter) -> None:
        self._store, self._inner = store, inner
        self.publish, self.abandon, self.leave = inner.publish, inner.abandon, inner.leave

    def write(self, *parts: bytes | memoryview) -> None:
        self._store.count("write", written=sum(map(len, parts)))
        self._inner.write(*parts)

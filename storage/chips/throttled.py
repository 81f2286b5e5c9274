"""A cap on the bytes per second to and from an object store."""

import time
from threading import Lock

from storage.chips.wrapped import WrappedObjects
from storage.protocols import ObjectStore, ObjectWriter


class ThrottledObjects(WrappedObjects):
    """bytes_per_second: of payload, reads and writes together, over the life of this object."""

    def __init__(self, inner: ObjectStore, bytes_per_second: int) -> None:
        super().__init__(inner)
        self._rate = bytes_per_second
        self._free_at = time.monotonic()
        self._lock = Lock()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)` when their time has come."""
        data = self.inner.get(name, start, end)
        self.wait_for(len(data))
        return data

    def put(self, name: str, data: bytes) -> None:
        """Create or replace, at the given pace."""
        self.wait_for(len(data))
        self.inner.put(name, data)

    def writer(self, aside: str) -> ObjectWriter:
        """Start an object aside, written at the given pace."""
        return _ThrottledWriter(self, self.inner.writer(aside))

    def wait_for(self, count: int) -> None:
        """Sleep until `count` more bytes are within the pace."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            pause = self._free_at - now
        time.sleep(pause)


class _ThrottledWriter:
    def __init__(self, store: ThrottledObjects, inner: ObjectWriter) -> None:
        self._store, self._inner = store, inner
        self.publish, self.abandon, self.leave = inner.publish, inner.abandon, inner.leave

    def write(self, *parts: bytes | memoryview) -> None:
        self._store.wait_for(sum(map(len, parts)))
        self._inner.write(*parts)

"""A cap on the bytes per second to and from an object store."""

from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectStore, ObjectWriter
from storage.transfer.bandwidth import Pace


class ThrottledObjects(WrappedObjects):
    """pace: bytes per second of payload, reads and writes together."""

    def __init__(self, inner: ObjectStore, pace: Pace) -> None:
        super().__init__(inner)
        self._pace = pace

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`, at the given pace."""
        data = self.inner.get(name, start, end)
        self._pace.spend(len(data))
        return data

    def put(self, name: str, data: bytes) -> None:
        """Create or replace, at the given pace."""
        self._pace.spend(len(data))
        self.inner.put(name, data)

    def writer(self, aside: str) -> ObjectWriter:
        """Start an unpublished object, written at the given pace."""
        return _ThrottledWriter(self._pace, self.inner.writer(aside))


class _ThrottledWriter:
    def __init__(self, pace: Pace, inner: ObjectWriter) -> None:
        self._pace, self._inner = pace, inner
        self.publish, self.abandon, self.leave = inner.publish, inner.abandon, inner.leave

    def write(self, *parts: bytes | memoryview) -> None:
        self._pace.spend(sum(map(len, parts)))
        self._inner.write(*parts)

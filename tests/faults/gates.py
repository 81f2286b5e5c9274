"""An ObjectStore that stops at a chosen operation until it is let go: two parties can be interleaved at will."""

from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import TypeVar

from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectInfo, ObjectStore, ObjectWriter

T = TypeVar("T")
PATIENCE_S = 20.0


class GatedObjects(WrappedObjects):
    """Counts every operation, reading ones too; number `at` waits for `go` after setting `arrived`."""

    def __init__(self, inner: ObjectStore, at: int = -1) -> None:
        super().__init__(inner)
        self.at = at
        self.count = 0
        self.arrived, self.go = Event(), Event()
        self._lock = Lock()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return self.step(lambda: self.inner.get(name, start, end))

    def put(self, name: str, data: bytes) -> None:
        self.step(lambda: self.inner.put(name, data))

    def create(self, name: str, data: bytes) -> bool:
        return self.step(lambda: self.inner.create(name, data))

    def append(self, name: str, data: bytes) -> None:
        self.step(lambda: self.inner.append(name, data))

    def pieces(self, name: str) -> Iterator[bytes]:
        return self.step(lambda: self.inner.pieces(name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.step(lambda: iter(list(self.inner.list(prefix))))

    def delete(self, name: str) -> None:
        self.step(lambda: self.inner.delete(name))

    def writer(self, aside: str) -> ObjectWriter:
        return _GatedWriter(self, self.inner.writer(aside))

    def step(self, work: Callable[[], T]) -> T:
        with self._lock:
            number = self.count
            self.count += 1
        if number == self.at:
            self.arrived.set()
            self.go.wait(PATIENCE_S)
        return work()


class _GatedWriter:
    def __init__(self, store: GatedObjects, inner: ObjectWriter) -> None:
        self._store, self._inner = store, inner
        self.write, self.abandon, self.leave = inner.write, inner.abandon, inner.leave

    def publish(self, name: str) -> None:
        self._store.step(lambda: self._inner.publish(name))

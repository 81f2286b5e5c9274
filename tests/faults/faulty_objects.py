"""An ObjectStore that fails at a chosen operation: by an error, or by a SIGKILL of the process, before or after it."""

import os
import signal
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TypeVar

from catalog.errors import StorageUnavailable
from storage.imagestore.objects.wrapped import WrappedObjects
from storage.protocols import ObjectInfo, ObjectStore, ObjectWriter

T = TypeVar("T")


def fail(step: str) -> None:
    raise StorageUnavailable("faulty", f"made to fail at {step}")


def kill(_step: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FaultyObjects(WrappedObjects):
    """Counts every changing operation, and calls `fault` at number `at`. steps: what was called, in order."""

    def __init__(
        self, inner: ObjectStore, at: int = -1, fault: Callable[[str], None] = fail, *, after: bool = False
    ) -> None:
        super().__init__(inner)
        self.at, self.fault, self.after = at, fault, after
        self.steps: list[str] = []
        self.log: Callable[[str], None] = lambda _step: None
        self._lock = Lock()

    def put(self, name: str, data: bytes) -> None:
        self.step(f"put {name}", lambda: self.inner.put(name, data))

    def create(self, name: str, data: bytes) -> bool:
        return self.step(f"create {name}", lambda: self.inner.create(name, data))

    def append(self, name: str, data: bytes) -> None:
        self.step(f"append {name}", lambda: self.inner.append(name, data))

    def delete(self, name: str) -> None:
        self.step(f"delete {name}", lambda: self.inner.delete(name))

    def writer(self, aside: str) -> ObjectWriter:
        return FaultyWriter(self, aside, self.step(f"writer {aside}", lambda: self.inner.writer(aside)))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def step(self, what: str, work: Callable[[], T]) -> T:
        with self._lock:
            number = len(self.steps)
            self.steps.append(what)
        self.log(what)
        if number == self.at and not self.after:
            self.fault(what)
        result = work()
        if number == self.at and self.after:
            self.fault(what)
        return result


class FaultyWriter:
    def __init__(self, store: FaultyObjects, aside: str, inner: ObjectWriter) -> None:
        self._store, self._aside, self._inner = store, aside, inner

    def write(self, *parts: bytes | memoryview) -> None:
        self._store.step(f"write {self._aside}", lambda: self._inner.write(*parts))

    def publish(self, name: str) -> None:
        self._store.step(f"publish {name}", lambda: self._inner.publish(name))

    def abandon(self) -> None:
        self._inner.abandon()

    def leave(self) -> None:
        self._inner.leave()

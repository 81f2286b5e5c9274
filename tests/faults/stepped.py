"""An ObjectStore that goes on only as far as it is let: work done through it can be stopped anywhere, as often as wanted."""

from collections.abc import Callable
from threading import Condition
from typing import TypeVar

from storage.protocols import ObjectStore
from tests.faults.gates import GatedObjects

T = TypeVar("T")
PATIENCE_S = 120.0


class SteppedObjects(GatedObjects):
    """Every operation takes one of the permits that were given; without one it waits."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self._permits, self._taken, self._free = 0, 0, True
        self._changed = Condition()

    def hold(self) -> None:
        """Let nothing happen from now on but what `go_on` permits."""
        with self._changed:
            self._free = False

    def go_on(self, steps: int, ended: Callable[[], bool]) -> None:
        """Let so many operations happen, and wait until they have begun, or `ended` says that no more will come."""
        with self._changed:
            self._permits += steps
            self._changed.notify_all()
            while self._taken < self._permits and not ended():
                self._changed.wait(0.01)

    def let_go(self) -> None:
        """Let all operations happen."""
        with self._changed:
            self._free = True
            self._changed.notify_all()

    def step(self, work: Callable[[], T]) -> T:
        with self._changed:
            if not self._changed.wait_for(lambda: self._free or self._taken < self._permits, PATIENCE_S):
                raise TimeoutError("nobody let this go on")
            if not self._free:
                self._taken += 1
            self._changed.notify_all()
        return work()

"""A lane: one thread that takes blocks in order from a bounded queue, so that work overlaps without piling up."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """Run `work` on every item put, in order, in a thread of its own.

    depth: items that may wait. After a failure the rest is dropped, and `put` and `join` raise that failure.
    """

    def __init__(self, work: Callable[[T], None], name: str, depth: int = 4) -> None:
        self._work = work
        self._items: SimpleQueue[T | None] = SimpleQueue()
        # A bounded Queue is made of Python locks; two queues of the interpreter, one of free places, take 2 % less of an add.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)
        self.failure: BaseException | None = None
        self._joined = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item, waiting while the queue is full."""
        if self.failure is not None:
            raise self.failure
        self._room.get()
        self._items.put(item)

    def join(self) -> None:
        """Wait until everything put was worked on, end the thread and raise its failure, if any."""
        self.stop()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Wait for the queued work and end the thread. Safe to repeat."""
        if not self._joined:
            self._joined = True
            self._items.put(None)
            self._thread.join()

    def drop(self) -> None:
        """Forget what waits; the item being worked on is finished."""
        while True:
            try:
                if self._items.get_nowait() is None:
                    self._items.put(None)
                    return
                self._room.put(None)
            except Empty:
                return

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._room.put(None)
            if self.failure is None:
                try:
                    self._work(item)
                except BaseException as failure:  # noqa: BLE001  # handed to the thread that feeds the lane
                    self.failure = failure
            del item  # a block is freed as soon as it is done with, not when the next one comes

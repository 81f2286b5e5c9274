"""Work done ahead by a few threads, with results in order and bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

A = TypeVar("A")
T = TypeVar("T")


def in_order(
    work: Callable[[A], T], items: Iterable[A], *, workers: int, room: int, weight: Callable[[A], int] = lambda _: 1
) -> Iterator[T]:
    """Yield the results of `work` in order, while a few threads work on the next items.

    room: the most that started and unyielded items weigh together; a heavier one runs alone. An error of `work` is
    raised in place of its result. The threads end with the last result, or when the iterator is closed.
    """
    waiting: deque[tuple[int, Future[T]]] = deque()
    taken = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    try:
        for item in items:
            heavy = weight(item)
            while waiting and taken + heavy > room:
                weighed, done = waiting.popleft()
                yield done.result()
                del done  # a result is freed as soon as it is used
                taken -= weighed
            waiting.append((heavy, pool.submit(work, item)))
            taken += heavy
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Lane(Generic[T]):
    """Runs `work` on every item put, in order, in its own thread.

    depth: items that may wait. After a failure the rest is dropped, and `put` and `join` raise that failure.
    """

    def __init__(self, work: Callable[[T], object], name: str, depth: int = 4) -> None:
        self._work = work
        self._items: SimpleQueue[T | None] = SimpleQueue()
        # A bounded Queue uses Python locks; two C queues, one of free places, take 2 % less of an add.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)
        self.failure: BaseException | None = None
        self._joined = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Pass an item, waiting while the queue is full."""
        if self.failure is not None:
            raise self.failure
        self._room.get()
        self._items.put(item)

    def join(self) -> None:
        """Wait until every item is processed, end the thread and raise its failure, if any."""
        self.stop()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Wait for the queued work and end the thread. Safe to repeat."""
        if not self._joined:
            self._joined = True
            self._items.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._room.put(None)
            if self.failure is None:
                try:
                    self._work(item)
                except BaseException as failure:  # noqa: BLE001  # handed to the thread that feeds the lane
                    self.failure = failure
            del item  # a block is freed as soon as it is used, not when the next one comes

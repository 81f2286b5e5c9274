"""Work done ahead by a few threads, its results in order, within bounds of memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def in_order(
    work: Callable[[A], T], items: Iterable[A], *, workers: int, room: int, weight: Callable[[A], int] = lambda _: 1
) -> Iterator[T]:  # fmt: skip
    """Yield the results of `work` in order, those of the next items being worked on by a few threads meanwhile.

    room: the most that the items begun and not yet yielded weigh together; one that weighs more goes alone. What `work`
    raises is raised in the place of its result. Threads end with the last result, or when the iterator is closed.
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
                del done  # a result is freed as soon as it is done with
                taken -= weighed
            waiting.append((heavy, pool.submit(work, item)))
            taken += heavy
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

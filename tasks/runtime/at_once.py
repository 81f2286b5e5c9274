"""Several pieces of work of one run at the same time, some at once, each in a thread that knows the run."""

import contextvars
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def at_once(work: Callable[[A], T], items: Sequence[A], most: int) -> list[T]:
    """Return the results in the order of the items. What `work` raises is raised once all that began has ended.

    An exception that comes from outside, such as the end of the process, waits for nobody: what its threads were at is left
    as a death would leave it.
    """
    waiting: SimpleQueue[tuple[int, A]] = SimpleQueue()
    done: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)
    for _ in range(min(most, len(items))):
        # Of the process's end, not of the work's: a thread that is waited for would hold back whoever ends the process.
        Thread(target=contextvars.copy_context().run, args=(_work, work, waiting, done), daemon=True).start()
    results = dict(done.get() for _ in items)
    return [_returned(results[number]) for number in range(len(items))]


def _work(
    work: Callable[[A], T], waiting: "SimpleQueue[tuple[int, A]]", done: "SimpleQueue[tuple[int, T | BaseException]]"
) -> None:
    while True:
        try:
            number, item = waiting.get_nowait()
        except Empty:
            return
        try:
            done.put((number, work(item)))
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            done.put((number, error))


def _returned(result: T | BaseException) -> T:
    if isinstance(result, BaseException):
        raise result
    return result

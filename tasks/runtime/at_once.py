"""Run a run's pieces of work in parallel, a few at a time, each in a thread with the run's context."""

import contextvars
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def at_once(work: Callable[[A], T], items: Sequence[A], most: int) -> list[T]:
    """Return the results in the order of the items. Raises an error of `work` once every piece that began has ended.

    An exception from outside, such as the end of the process, waits for no thread: their work is left as by a death.
    """
    waiting: SimpleQueue[tuple[int, A]] = SimpleQueue()
    done: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)
    for _ in range(min(most, len(items))):
        # The process is ending, not the work: waiting for a thread would delay the end.
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

"""Define tasks of flows. A plan made outside a run calls them as plain functions: no server needed, no run recorded."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, Unpack

from prefect import State, Task, get_run_logger
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import TaskRun

P = ParamSpec("P")
R = TypeVar("R")
_plain: ContextVar[bool] = ContextVar("plain", default=False)


class PlainTask(Task[P, R]):
    """A Prefect task that acts as a plain function within `without_runs`."""

    if not TYPE_CHECKING:  # typed as Prefect's own, which has six overloads

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the task, in a task run of its own unless within `without_runs`."""
            return super().__call__(*args, **kwargs) if has_runs() else self.fn(*args, **kwargs)


class RetryOptions(TypedDict, total=False):
    """The options of `prefect.task` that make it retryable."""

    retries: int
    retry_delay_seconds: Callable[[int], list[float]]
    retry_jitter_factor: float
    retry_condition_fn: Callable[[Any, TaskRun, State[Any]], bool]


class TaskOptions(RetryOptions, total=False):
    """The options of `prefect.task` in use. task_run_name: with parameters in braces."""

    task_run_name: str
    persist_result: bool
    cache_policy: CachePolicy


def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task. options: as of `prefect.task`."""

    def make(function: Callable[P, R]) -> Task[P, R]:
        return PlainTask(function, **options)

    return make


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the current run's logger, or the process's own within `without_runs`."""
    return get_run_logger() if has_runs() else logging.getLogger("imagewright")


def has_runs() -> bool:
    """Tell whether calls here belong to a run: always, except within `without_runs`."""
    return not _plain.get()


@contextmanager
def without_runs() -> Iterator[None]:
    """Make tasks called in this block, by this thread, plain functions: tried once, not recorded."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)

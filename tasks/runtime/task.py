"""Tasks of flows. A plan that is asked for outside of a run calls them as plain functions: it needs no server and leaves no run."""

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
    """A task of Prefect, and a plain function where `without_runs` says so."""

    if not TYPE_CHECKING:  # typed as Prefect's own, which has six overloads

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Run it; in a task run of its own where there are runs."""
            return super().__call__(*args, **kwargs) if has_runs() else self.fn(*args, **kwargs)


class RetryOptions(TypedDict, total=False):
    """The options of `prefect.task` that make it retryable."""

    retries: int
    retry_delay_seconds: Callable[[int], list[float]]
    retry_jitter_factor: float
    retry_condition_fn: Callable[[Any, TaskRun, State[Any]], bool]


class TaskOptions(RetryOptions, total=False):
    """Those of them that are in use. task_run_name: with parameters in braces."""

    task_run_name: str
    persist_result: bool
    cache_policy: CachePolicy


def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task. options: as of `prefect.task`."""

    def make(function: Callable[P, R]) -> Task[P, R]:
        return PlainTask(function, **options)

    return make


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the logger of the run that this is called in, the process's own where `without_runs` says so."""
    return get_run_logger() if has_runs() else logging.getLogger("imagewright")


def has_runs() -> bool:
    """Tell whether what is called here belongs to a run, as it does but within `without_runs`."""
    return not _plain.get()


@contextmanager
def without_runs() -> Iterator[None]:
    """Have tasks called in this block, by this thread, be plain functions: tried once, seen by nobody."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)

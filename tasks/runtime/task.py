"""Tasks of flows. A plan that is asked for outside of a run calls them as plain functions: it needs no server and leaves no run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Task, get_run_logger

P = ParamSpec("P")
R = TypeVar("R")
_plain: ContextVar[bool] = ContextVar("plain", default=False)


class PlainTask(Task[P, R]):
    """A task of Prefect, and a plain function where `without_runs` says so."""

    if not TYPE_CHECKING:  # typed as Prefect's own, which has six overloads

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Run it; in a task run of its own where there are runs."""
            return super().__call__(*args, **kwargs) if has_runs() else self.fn(*args, **kwargs)


def task(**options: Any) -> Callable[[Callable[P, R]], Task[P, R]]:
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

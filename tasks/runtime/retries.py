"""Retries of tasks: the error's `retryable` decides, here and nowhere else."""

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from prefect.cache_policies import INPUTS, RUN_ID
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from catalog.errors import (
    CatalogUnavailable,
    ImagewrightError,
    SourceChanged,
    StorageElsewhere,
    StorageUnavailable,
    TransferInterrupted,
    TransferTooLong,
)
from tasks.runtime.task import RetryOptions

T = TypeVar("T")
MAX_DELAY_S = 60.0
POLICY = INPUTS + RUN_ID


AWAY = (StorageUnavailable, CatalogUnavailable, TransferInterrupted)
"""Errors about something that may be back in minutes or hours.

Other retryable errors pass at the next try, or never.
"""


def is_away(error: ImagewrightError) -> bool:
    """Tell whether a run that failed with this error waits and tries again; see `tasks/runtime/runs/waiting.py`.

    Waiting never brings another host's directory here: that host is asked instead.
    """
    if isinstance(error, StorageElsewhere):
        return False
    return isinstance(error, AWAY) and error.retryable and not isinstance(error, TransferTooLong)


def is_retryable(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether the error of a failed task run may go away by itself."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ImagewrightError) and error.retryable and not isinstance(error, StorageElsewhere)


def retrying(retries: int = 3, *, but: tuple[type[ImagewrightError], ...] = ()) -> RetryOptions:
    """Return task options: `retries` more tries with exponential backoff and jitter, for retryable errors only.

    but: retryable errors excluded here, because only repeating an earlier step helps.
    """

    def condition(task: object, run: TaskRun, state: State[Any]) -> bool:
        error = state.result(raise_on_failure=False)
        return not isinstance(error, but) and is_retryable(task, run, state)

    return RetryOptions(
        retries=retries,
        retry_delay_seconds=exponential_backoff(2),
        retry_jitter_factor=0.5,
        retry_condition_fn=condition,
    )


def once(because: str) -> RetryOptions:  # noqa: ARG001  # said where it is read, beside the task
    """Return the options of a task that is never retried. because: the reason, for readers of the code."""
    return RetryOptions(
        retries=0,
        retry_delay_seconds=lambda _: [],
        retry_jitter_factor=0.0,
        retry_condition_fn=lambda *_: False,
    )


def persist(
    attempt: Callable[[], T],
    progress: Callable[[], int],
    retries: int,
    delay_s: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    *,
    min_pace_bytes_s: int = 0,
    clock: Callable[[], float] = time.monotonic,
    only: tuple[type[ImagewrightError], ...] = (ImagewrightError,),
) -> T:
    """Call `attempt` until it succeeds and return its result; progress refills the budget of `retries`.

    progress: bytes kept so far. delay_s: first pause, doubling to a minute, with jitter. min_pace_bytes_s: bytes since
    the last failure count as progress only above this pace, else a server that sends one byte and hangs up would be
    asked once per byte. A source that keeps changing is started over at most `retries` times, whatever arrived in
    between. only: the errors to retry after. Raises the last error if it is not retryable, the budget is spent or the
    time is up.
    """
    failures, changes, kept, since = 0, 0, progress(), clock()
    while True:
        try:
            return attempt()
        except ImagewrightError as error:
            moved = progress() - kept > min_pace_bytes_s * (clock() - since)
            failures = 1 if moved else failures + 1
            kept, since = progress(), clock()
            changes += isinstance(error, SourceChanged)
            again = error.retryable and isinstance(error, only) and not isinstance(error, TransferTooLong)
            if not again or max(failures, changes) > retries:
                raise
            pause = min(MAX_DELAY_S, delay_s * 2 ** (failures - 1)) * random.uniform(0.5, 1.5)  # noqa: S311
            if isinstance(error, TransferInterrupted) and error.retry_after_s is not None:
                pause = min(MAX_DELAY_S, max(pause, error.retry_after_s))  # the server named the moment
            say(f"{error}; trying again in {pause:.1f} s ({failures} of {retries} without progress)")
            sleep(pause)

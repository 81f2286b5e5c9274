"""Wait for an unavailable storage or source: the run is rescheduled, states the reason, and occupies no process.

A deployment's run becomes AwaitingRetry and ends its process; any worker resumes it when it is time. A call on a
terminal, which no worker could resume, waits in its process.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, PrefectException
from prefect.logging import get_logger

from catalog.errors import CatalogUnavailable, HostAway, ImagewrightError, StorageUnavailable
from catalog.rules.upkeep.waiting import Wait, next_wait_s
from catalog.units import utc_now
from tasks.runtime.retries import is_away
from tasks.runtime.runs import server as runs

Held = Callable[[], AbstractContextManager[Callable[[], None] | None]]
T = TypeVar("T")
A_DAY_S = 86_400.0
"""The patience of a deployment's run; a person at a terminal has to ask for it."""
STEP_S = 1.0

log = get_logger("imagewright.waiting")


class Waiting:
    """The waits of one flow run.

    patience_s: as requested; None means a day for a deployment's run, none for a call. held: a context entered while
    this process waits; the function it yields is called every second, and may raise.
    """

    def __init__(self, patience_s: float | None, held: Held = nullcontext) -> None:
        context = FlowRunContext.get()
        run = context.flow_run if context else None
        self._run = run.id if run is not None and run.deployment_id is not None else None
        usual = A_DAY_S if self._run else 0.0
        self._patience_s = usual if patience_s is None else patience_s
        self._here: list[Wait] = []
        self._held = held

    def will(self, error: ImagewrightError) -> float | None:
        """Return the seconds until the next attempt, None if the run ends with this error."""
        if not is_away(error) or not self._patience_s:
            return None
        try:
            now, waits = self._so_far()
        except (httpx.HTTPError, PrefectException):  # no worker could resume it
            return None
        return next_wait_s(waits, now, self._patience_s, random.uniform(0.7, 1.3))  # noqa: S311

    def through(self, work: Callable[[], T]) -> T:
        """Do the work, restarting it as often as needed, and return its result. Raises the error it ends with."""
        while True:
            try:
                return work()
            except ImagewrightError as error:
                wait_s = self.will(error)
                if wait_s is None:
                    raise
                self._put_off(error, wait_s)

    def _so_far(self) -> tuple[datetime, Sequence[Wait]]:
        if self._run is None:
            return utc_now(), self._here
        with get_client(sync_client=True) as client:
            return runs.server_now(client), runs.waits_of(client, self._run)

    def _put_off(self, error: ImagewrightError, wait_s: float) -> None:
        sentence = sentence_of(error)
        if self._run is None:
            self._wait_here(sentence, wait_s)
            return
        with get_client(sync_client=True) as client:
            state = runs.put_off(client, self._run, wait_s, sentence)
        if state is None:  # it was cancelled meanwhile
            raise error
        log.warning("%s", state.message)
        raise Pause(state=state)  # no error: Prefect ends the process and leaves the state unchanged

    def _wait_here(self, sentence: str, wait_s: float) -> None:
        now, end = utc_now(), time.monotonic() + wait_s
        self._here.append(Wait(at=now, until=now + timedelta(seconds=wait_s)))
        log.warning("%s; tried again in %.0f s", sentence, wait_s)
        with self._held() as look:
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(STEP_S, left))
                if look is not None:
                    look()


def sentence_of(error: ImagewrightError) -> str:
    """Return a sentence that says what the run waits for, and why."""
    if isinstance(error, HostAway):
        return f"{runs.WAITING}host {error.host!r}: {error.reason}; {error.places}"
    if isinstance(error, StorageUnavailable):
        what = f"folder {error.storage}" if error.storage.startswith("/") else f"image storage {error.storage!r}"
        return f"{runs.WAITING}{what}: {error.reason}"
    if isinstance(error, CatalogUnavailable):
        return f"{runs.WAITING}the catalog: {error.reason}"
    return f"{runs.WAITING}the source: {error}"

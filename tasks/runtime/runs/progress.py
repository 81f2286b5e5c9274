"""Show progress of transfers: an artifact in the Prefect UI, and a bar on a terminal."""

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from catalog.units import readable
from tasks.runtime.holders import run_id

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact
    from rich.progress import Progress

INTERVAL_S, LOOK_S = 0.8, 0.2
"""Together the longest time between two updates to the server: at least one a second."""
MOST_SAID = 200
"""Most characters of a step; Prefect accepts 500 in each of an artifact's values."""


class Meter:
    """Bytes done and bytes in all; called from any thread, never moving backwards.

    percent: the percentage shown before, by a process that died or an earlier attempt.
    """

    def __init__(self, percent: float = 0.0) -> None:
        self.done = 0
        self.total: int | None = None
        self.began = time.monotonic()
        self._followed: Callable[[], int] | None = None
        self._percent = percent

    def __call__(self, done: int, total: int | None) -> None:
        """Take the newest figures."""
        self.done = max(self.done, done)
        self.total = total or self.total

    @contextmanager
    def following(self, done: Callable[[], int], total: int | None) -> Iterator[None]:
        """Poll `done` for the bytes done while the block runs, for work that makes no progress calls."""
        self(0, total)
        self._followed = done
        try:
            yield
        finally:
            self._followed = None

    def look(self) -> None:
        """Poll the followed work's figure."""
        if (followed := self._followed) is not None:
            self(followed(), None)

    @property
    def percent(self) -> float:
        """Return 0 to 100; unchanged while the size is unknown or turns out to be larger."""
        if self.total:
            self._percent = max(self._percent, min(100.0, 100.0 * self.done / self.total))
        return self._percent

    def sentence(self, what: str) -> str:
        """Return a sentence with progress and rate."""
        rate = self.done / max(time.monotonic() - self.began, 1e-3)
        total = f" of {readable(self.total)}" if self.total else ""
        return f"{what}: {readable(self.done)}{total}, {readable(int(rate))}/s"


@contextmanager
def progress(key: str, what: str) -> Iterator[Meter]:
    """Yield a meter that is shown once a second while the block runs, and at 100 % if the block succeeds.

    key: of the artifact, unique per piece of work: a run that repeats it, on any worker, continues with the same
    artifact and its percentage. An unreachable server never stops the transfer.
    """
    artifact, percent = _artifact(key, what)
    meter = Meter(percent)
    stop = threading.Event()
    context = contextvars.copy_context()
    shower = threading.Thread(target=context.run, args=(_show, meter, artifact, what, stop), daemon=True)
    shower.start()
    try:
        yield meter
        meter(meter.done, meter.done or 1)
        if not meter.done:
            meter(1, 1)
    finally:
        stop.set()
        shower.join()


def _artifact(key: str, what: str) -> tuple[UUID | None, float]:
    """Return this run's artifact, created if missing, and its percentage."""
    with suppress(PrefectException, httpx.HTTPError, ValueError):  # ValueError: no server is configured
        if (before := _shown_before(key)) is not None:
            return before.id, float(before.data) if isinstance(before.data, int | float) else 0.0
        created = create_progress_artifact(progress=0.0, key=key, description=what)
        return created if isinstance(created, UUID) else None, 0.0
    return None, 0.0


def _shown_before(key: str) -> "Artifact | None":
    from prefect.client.schemas import filters

    if (run := run_id()) is None:
        return None
    wanted = filters.ArtifactFilter(
        key=filters.ArtifactFilterKey(any_=[key]),
        flow_run_id=filters.ArtifactFilterFlowRunId(any_=[UUID(run)]),
    )
    with get_client(sync_client=True) as client:
        return next(iter(client.read_artifacts(artifact_filter=wanted)), None)


def _show(meter: Meter, artifact: UUID | None, what: str, stop: threading.Event) -> None:
    with _bar(what) as bar:
        shown, shown_at, ended = (-1, 0.0), time.monotonic(), False
        while not ended:
            ended = stop.wait(LOOK_S)
            meter.look()
            if bar:
                bar(meter)
            now = meter.done, meter.percent
            if artifact and now != shown and (ended or time.monotonic() - shown_at >= INTERVAL_S):
                shown, shown_at = now, time.monotonic()
                with suppress(PrefectException, httpx.HTTPError):
                    tell(artifact, meter, what)


def tell(artifact: UUID, meter: Meter, what: str) -> None:
    """Send the progress to the server: as a sentence for people, in bytes for programs."""
    total = {"total_bytes": str(meter.total)} if meter.total else {}
    said = {"done_bytes": str(meter.done), "step": what[:MOST_SAID], **total}
    with get_client(sync_client=True) as client:
        client.update_artifact(
            artifact, ArtifactUpdate(data=meter.percent, description=meter.sentence(what), metadata_=said)
        )


@contextmanager
def _bar(what: str) -> "Iterator[_Bar | None]":
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(bar, what)


class _Bar:
    def __init__(self, bar: "Progress", what: str) -> None:
        self.bar, self.task = bar, bar.add_task(what, total=None)

    def __call__(self, meter: Meter) -> None:
        self.bar.update(self.task, completed=meter.done, total=meter.total)

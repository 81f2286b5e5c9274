"""Listen to the server's events, so that waiting runs, cancellations and suspensions are seen without polling."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.events import Event, get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import PrefectException

from deployments.worker.launcher import Launcher

CANCELLING, SUSPENDED = "prefect.flow-run.Cancelling", "prefect.flow-run.Suspended"
WAITING = ("prefect.flow-run.Scheduled", "prefect.flow-run.AwaitingRetry", "prefect.flow-run.Late")
AGAIN_S = 2.0
"""Seconds before reconnecting to a server whose events could not be received."""
LOOK_S = 10.0
"""Seconds between polls for cancellations whose events were missed."""

log = logging.getLogger("prefect.imagewright.worker")


class Notices:
    """Listens until it is cancelled, and reconnects whenever the server was unavailable.

    waiting: called when a run waits for a worker; launcher: has the runs to end.
    """

    def __init__(self, waiting: Callable[[], None], launcher: Launcher) -> None:
        self._waiting, self._launcher = waiting, launcher

    async def listen(self) -> None:
        """Receive events; reconnect after a while when the server is unavailable. Never returns."""
        wanted = EventFilter(event=EventNameFilter(name=[CANCELLING, SUSPENDED, *WAITING]))
        level = logging.WARNING
        while True:
            try:
                async with get_events_subscriber(filter=wanted) as events:
                    level = logging.WARNING
                    async for event in events:
                        self._hear(event)
            except Exception as error:  # noqa: BLE001  # of sockets, TLS, JSON: what is not heard is asked for
                log.log(level, "events of the server are not heard (%s); it is asked for them", error)
                level = logging.DEBUG  # one warning per outage, which may last hours
            await asyncio.sleep(AGAIN_S)

    async def look(self) -> None:
        """Poll for cancellations whose events were missed. Never returns."""
        async with get_client() as client:
            while True:
                await asyncio.sleep(LOOK_S)
                if running := list(self._launcher.running()):
                    try:
                        for run in await client.read_flow_runs(
                            flow_run_filter=_cancelling(running), limit=len(running)
                        ):
                            self._launcher.cancel(run.id)
                    except (httpx.HTTPError, PrefectException) as error:
                        log.debug("the server could not be asked for cancellations: %s", error)

    def _hear(self, event: Event) -> None:
        run_id = UUID(event.resource.id.rpartition(".")[2])
        if event.event == CANCELLING:
            self._launcher.cancel(run_id)
        elif event.event == SUSPENDED:
            self._launcher.suspend(run_id)
        else:
            self._waiting()


def _cancelling(runs: list[UUID]) -> filters.FlowRunFilter:
    return filters.FlowRunFilter(
        id=filters.FlowRunFilterId(any_=runs),
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.CANCELLING])),
    )

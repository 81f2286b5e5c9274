"""One watcher of log and runs per process, however many pages are open; it stops while there are none."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from catalog.errors import ImagewrightError
from catalog.records import Event
from catalog.settings import Settings
from console.live.log_watch import LogWatch
from console.live.run_watch import RunWatch, Seen
from console.thread_pools import catalogs

LOOK_S = 1.0
"""Seconds between two looks."""
IDLE_LOOKS = 3
"""While no run is in progress, only every so many looks ask the Prefect server."""
BEHIND = 100
"""Most news queued for a page; if it falls further behind, they are dropped and it is told so."""
log = logging.getLogger("imagewright.console")


class News:
    """The result of a look.

    events: new entries of the log; runs: new or changed ones; lost: earlier news were dropped.
    """

    __slots__ = ("events", "lost", "runs", "uploads")

    def __init__(
        self, events: Sequence[Event] = (), runs: Sequence[Seen] = (), *, uploads: bool = False, lost: bool = False
    ) -> None:
        self.events, self.runs, self.uploads, self.lost = events, runs, uploads, lost

    def __bool__(self) -> bool:
        return bool(self.events or self.runs or self.uploads)


class Watch:
    """The watcher. It looks while there are listeners."""

    def __init__(self, settings: Settings) -> None:
        self._log, self._runs = LogWatch(settings), RunWatch()
        self._listening: set[asyncio.Queue[News]] = set()
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, Seen] = {}
        self._due = 0
        self._looking = asyncio.Lock()

    @property
    def runs(self) -> Sequence[Seen]:
        """The runs as they were at the last look."""
        return self._runs.known

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[News]]:
        """Yield a queue of the news from now on."""
        queue: asyncio.Queue[News] = asyncio.Queue(BEHIND)
        if self._task is None or self._task.done():
            await self._look()  # so that old runs are not taken for present ones
            self._task = asyncio.create_task(self._go_on())
        self._listening.add(queue)
        try:
            yield queue
        finally:
            self._listening.discard(queue)

    async def close(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._rest()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._listening:
                break
            try:
                news = await self._look()
            except ImagewrightError as error:
                log.warning("pages are not told what is new: %s", error)
                continue
            if news:
                self._tell(news)
        await self._rest()

    async def _rest(self) -> None:
        self._log.close()
        await self._runs.close()

    async def _look(self) -> News:
        async with self._looking:  # two first pages may arrive at once
            return await self._looked()

    async def _looked(self) -> News:
        events, uploads = await catalogs(self._log.look)
        self._due -= 1
        if self._due <= 0:
            await self._runs.look()
            self._due = 1 if self._runs.busy else IDLE_LOOKS
        known = {one.id: one for one in self._runs.known}
        new = [one for one in known.values() if one != self._told.get(one.id)]
        self._told = known
        return News(events, new, uploads=uploads)

    def _tell(self, news: News) -> None:
        for queue in self._listening:
            try:
                queue.put_nowait(news)
            except asyncio.QueueFull:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(News(lost=True))

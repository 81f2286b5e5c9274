"""One watcher of log and runs for a process, however many pages are open; it rests while nobody looks."""

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
"""Between two looks."""
IDLE_LOOKS = 3
"""While no run is going on the Prefect server is asked at every so many looks only."""
BEHIND = 100
"""News that a page may lag behind; one that takes no more is told that it lost some."""
log = logging.getLogger("imagewright.console")


class News:
    """What a look found. events: new entries of the log; runs: those that are otherwise than before; lost: others came in between."""

    __slots__ = ("events", "lost", "runs", "uploads")

    def __init__(
        self, events: Sequence[Event] = (), runs: Sequence[Seen] = (), *, uploads: bool = False, lost: bool = False
    ) -> None:
        self.events, self.runs, self.uploads, self.lost = events, runs, uploads, lost

    def __bool__(self) -> bool:
        return bool(self.events or self.runs or self.uploads)


class Watch:
    """The watcher. It looks while anybody listens."""

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
        """Yield what happens from now on."""
        queue: asyncio.Queue[News] = asyncio.Queue(BEHIND)
        if self._task is None or self._task.done():
            await self._look()  # so that what was known before is not taken for what is now
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
        async with self._looking:  # two pages that come first at once
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

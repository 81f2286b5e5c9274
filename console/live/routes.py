"""`/live`: server-sent events for pages, which otherwise would fetch their whole table every two seconds.

| event | data | when |
|---|---|---|
| `hello` | `{}` | a stream begins: the page may be out of date |
| `changed` | `{"images": [ids]}`, `{"uploads": true}` | the log has new entries about visible things; an upload moved |
| `runs` | a list of runs (`console/live/jobs.py`) | at first all known runs, then those that changed |

A stream ends after a minute, and the browser opens the next: a visitor who was signed out gets no more events.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from catalog.errors import ImagewrightError
from catalog.records import SignedIn
from catalog.settings import Settings
from console.entrance.visitors import visitor_of
from console.live.again import again, undo
from console.live.telling import changed_images, jobs_for
from console.live.watch import News, Watch
from console.look.language import Words, language_of
from console.thread_pools import catalogs

PATH = "/live"
LIFE_S, ALIVE_S = 60.0, 15.0
"""Length of a stream; longest silence in it, so that no proxy takes it for dead."""
MOST, MOST_OF_ONE = 500, 100
"""Most streams at once: in all, and of one identity. Pages of one browser share one."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Told:
    """The runs sent to one page, and its language."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._jobs: dict[str, object] = {}

    def new(self, jobs: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        """Return the runs that are new or changed for the page, and mark them as sent."""
        found = [job for job in jobs if self._jobs.get(str(job["id"])) != job]
        self._jobs |= {str(job["id"]): job for job in found}
        return found


class Live:
    """The endpoints of the stream, and of repeating and undoing runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.watch = settings, Watch(settings)
        self._names: list[str] = []

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(PATH, self.stream),
            Route("/api/runs/{id}/again", again, methods=["POST"]),
            Route("/api/runs/{id}/undo", undo, methods=["POST"]),
        ]

    async def stream(self, request: Request) -> Response:
        """Stream events until the client leaves: 503 if there are too many streams."""
        who = visitor_of(request)
        name = who.identity.name
        if len(self._names) >= MOST or self._names.count(name) >= MOST_OF_ONE:
            return JSONResponse({"error": "too many pages listen at once; this one asks again"}, 503)
        return StreamingResponse(
            self._counted(who, Words(language_of(request))), headers=HEADERS, media_type="text/event-stream"
        )

    async def _counted(self, who: SignedIn, t: Words) -> AsyncIterator[str]:
        self._names.append(who.identity.name)
        try:
            async with self.watch.listening() as queue:
                async for frame in self._frames(who, t, queue):
                    yield frame
        except ImagewrightError:  # the catalog does not answer: the browser reconnects
            return
        finally:
            self._names.remove(who.identity.name)

    async def _frames(self, who: SignedIn, t: Words, queue: asyncio.Queue[News]) -> AsyncIterator[str]:
        ends, told = time.monotonic() + LIFE_S, Told(t)
        yield "retry: 1000\n" + _frame("hello", {})
        yield _frame("runs", await self._runs(who, News(runs=self.watch.runs), told))
        while (left := ends - time.monotonic()) > 0:
            try:
                news = await asyncio.wait_for(queue.get(), min(left, ALIVE_S))
            except TimeoutError:
                yield ":\n\n"
                continue
            for frame in await self._told(who, news, told):
                yield frame

    async def _told(self, who: SignedIn, news: News, told: Told) -> list[str]:
        if news.lost:
            return [_frame("hello", {})]
        frames = []
        if news.events:
            images = await catalogs(changed_images, self._settings, who, news.events)
            frames += [_frame("changed", {"images": images})] if images is not None else []
        if news.uploads:
            frames.append(_frame("changed", {"uploads": True}))
        runs = await self._runs(who, news, told) if news.runs else []
        return [*frames, *([_frame("runs", runs)] if runs else [])]

    async def _runs(self, who: SignedIn, news: News, told: Told) -> list[dict[str, object]]:
        """Return the runs that are new or changed for this page."""
        found = await catalogs(jobs_for, self._settings, who, news.runs, told.words) if news.runs else []
        return told.new(found)


def _frame(event: str, data: object) -> str:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"

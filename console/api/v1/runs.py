"""Runs: state, progress, outcome and cancellation. Runs of other accounts are not found."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from catalog.errors import ImagewrightError, RunNotFound
from catalog.records import SignedIn
from catalog.rules.accounts.roles import require
from catalog.settings import Settings
from console.api.v1.signing import Here, Who, known
from console.entrance.run_visibility import sees_run
from console.run_states import RunState, cancel, found_run, server, state_of
from console.thread_pools import TookTooLong

router = APIRouter(tags=["Runs"])
LOOK_S, ALIVE_S = 1.0, 15.0
FIRST_LOOK_S = 0.1
MOST_LOOKING, MOST_OF_ONE = 200, 20
"""Most requests that poll runs at once: in all, and of one identity."""
STREAM: dict[int | str, dict[str, object]] = {
    200: {
        "description": "Server-sent events named `state`, each a run as `GET /runs/{id}` has it.",
        "content": {"text/event-stream": {}},
    }
}


class Looking:
    """Limits the requests that wait for runs: each asks the server every second."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Count a waiting request for the block. Raises TookTooLong if there are too many."""
        if len(self._names) >= MOST_LOOKING or self._names.count(name) >= MOST_OF_ONE:
            raise TookTooLong("the run", "is waited for by too many requests at once")
        self._names.append(name)
        try:
            yield
        finally:
            self._names.remove(name)


LOOKING = Looking()


async def seen_state(settings: Settings, who: SignedIn, run_id: UUID) -> RunState:
    """Return the state of a run that the caller may see. Raises RunNotFound, ServerUnavailable."""
    async with server() as client:
        run = await found_run(client, run_id)
        if not sees_run(who, run):
            raise RunNotFound(str(run_id))
        return await state_of(client, settings, run)


async def wait_for(settings: Settings, who: SignedIn, run_id: UUID, seconds: float) -> RunState:
    """Wait until a run has ended, at most some seconds; return its state."""
    until, pause = time.monotonic() + seconds, FIRST_LOOK_S
    async with LOOKING.turn(who.identity.name):
        state = await seen_state(settings, who, run_id)
        while not state.finished and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(LOOK_S, pause * 2)
            state = await seen_state(settings, who, run_id)
    return state


@router.get("/runs/{run_id}")
async def run(run_id: UUID, who: Who, settings: Here) -> RunState:
    """Show the state and progress of a run."""
    require(who, "read", "look at runs")
    return await seen_state(settings, who, run_id)


@router.get("/runs/{run_id}/events", response_class=Response, responses=STREAM)
async def run_events(run_id: UUID, who: Who, settings: Here, request: Request) -> Response:
    """Stream the state of a run at each change, until the run has ended or the caller is no longer signed in."""
    require(who, "read", "look at runs")
    first = await seen_state(settings, who, run_id)
    given = request.headers.get("Authorization", "").partition(" ")[2]

    async def again() -> RunState:
        return await seen_state(settings, await known(settings, given), run_id)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    told = _told(first, again, who.identity.name)
    return StreamingResponse(told, media_type="text/event-stream", headers=headers)


async def _told(state: RunState, again: Callable[[], Awaitable[RunState]], name: str) -> AsyncIterator[str]:
    """Yield events, and comments in quiet times, so that no proxy takes the connection for dead."""
    with suppress(ImagewrightError):  # the answer has begun: end it; the next request gets the error
        async with LOOKING.turn(name):
            yield _event(state)
            said_at = time.monotonic()
            while not state.finished:
                await asyncio.sleep(LOOK_S)
                before, state = state, await again()
                if state != before:
                    yield _event(state)
                    said_at = time.monotonic()
                elif time.monotonic() - said_at > ALIVE_S:
                    yield ": \n\n"
                    said_at = time.monotonic()


def _event(state: RunState) -> str:
    return f"event: state\ndata: {state.model_dump_json()}\n\n"


@router.post("/runs/{run_id}/cancel", status_code=202)
async def cancel_run(run_id: UUID, who: Who, settings: Here) -> RunState:
    """Cancel a run, and delete what it has fetched of an image still arriving; a run that has ended stays as it is."""
    require(who, "add", "cancel runs")
    async with server() as client:
        found = await found_run(client, run_id)
        if not sees_run(who, found):
            raise RunNotFound(str(run_id))
        await cancel(client, found)
        return await state_of(client, settings, await found_run(client, run_id))

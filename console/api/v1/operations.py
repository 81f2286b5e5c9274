"""Endpoints of all operations in the registry, with the same requests as forms and commands."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import JSONResponse

from catalog.errors import KeyReused
from catalog.records import Record, SignedIn
from catalog.settings import Settings
from console.api.v1.runs import wait_for
from console.api.v1.signing import DOOR, Here, Who, opened
from console.authority import allowed, check_subjects
from console.runs import check_add
from console.starting import Started, start
from console.thread_pools import TookTooLong, catalogs
from console.visibility import Visibility
from flows.registry import OPERATIONS, Operation
from flows.requests import AddSystemImage, AddVolumeImage
from flows.requests.subjects import held
from tasks.runtime.runs.acting import Caller, tags_of

router = APIRouter(tags=["Operations"])
MOST_WAIT_S = 600
Wait = Annotated[float, Query(ge=0, le=MOST_WAIT_S, description="Seconds to wait for the run to end.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$",
        description="A request repeated with the same key starts no second run.",
    ),
]  # fmt: skip


class Begun(Record):
    """A run that was started. state: its present state, or its last one if its end was waited for."""

    run: UUID
    state: str


class Ended(Begun):
    """A run that ended during the wait. result: what it returned; error: why it failed."""

    result: object = None
    error: dict[str, object] | None = None


def _handler(row: Operation) -> Callable[..., Awaitable[JSONResponse]]:
    async def ask(asked: BaseModel, who: Who, settings: Here, wait: Wait = 0, key: Key = None) -> JSONResponse:
        request = allowed(who, row, asked)
        await catalogs(_check, settings, who, row, request)
        started = await _begin(row, request, who, key)
        return await _answered(settings, who, started, wait)

    ask.__annotations__["asked"] = row.request
    ask.__doc__ = row.about
    return ask


def _check(settings: Settings, who: SignedIn, row: Operation, request: BaseModel) -> None:
    with opened(settings, who) as catalog:
        check_subjects(Visibility(catalog, who, getattr(request, "account", None)), who, row, request)
    for one in held(request) or (request,):
        if isinstance(one, AddSystemImage | AddVolumeImage):
            check_add(one)


async def _begin(row: Operation, request: BaseModel, who: SignedIn, key: str | None) -> Started:
    name = who.identity.name
    ours = f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" if key is not None else None
    body = request.model_dump(mode="json", exclude_unset=True)
    try:
        return await start(row.name, body, ours, tags_of(Caller(name, DOOR)), exact=True)
    except KeyReused as error:
        raise KeyReused(key or "", row.deployment) from error


async def _answered(settings: Settings, who: SignedIn, started: Started, wait: float) -> JSONResponse:
    """Answer 200 with the outcome of a run that ended during the wait, else 202 with its state."""
    run, state = started.flow_run_id, started.state
    with suppress(TookTooLong):  # too many requests wait: the run has begun, and its state can be asked for
        if wait:
            found = await wait_for(settings, who, run, wait)
            state = found.state
            if found.finished:
                ended = Ended(run=run, state=state, result=found.result, error=found.error)
                return JSONResponse(ended.model_dump(mode="json"), HTTPStatus.OK)
    return JSONResponse(Begun(run=run, state=state).model_dump(mode="json"), HTTPStatus.ACCEPTED)


for _row in OPERATIONS.values():
    router.add_api_route(
        f"/operations/{_row.deployment}",
        _handler(_row),
        methods=["POST"],
        status_code=HTTPStatus.ACCEPTED,
        response_model=Begun,
        responses={200: {"model": Ended, "description": "It ended while it was waited for."}},
        summary=_row.title,
        name=_row.name,
        operation_id=_row.name,
    )

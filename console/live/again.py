"""Repeat a failed run, and undo a reversible one, by its own request, checked anew."""

import asyncio
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import load_settings
from console.authority import checked
from console.entrance.run_visibility import sees_run
from console.entrance.visitors import DOOR, caller_of, visitor_of
from console.live.jobs import row_of_run
from console.live.undoing import BACK
from console.runs import refused
from console.starting import LIMIT_S, SILENT, UNREACHABLE, ServerUnavailable, start
from console.thread_pools import catalogs
from flows.registry import OPERATIONS, Operation
from flows.server.client import prefect_client
from tasks.runtime.runs.acting import tags_of


async def again(request: Request) -> Response:
    """Repeat a failed run: 202 with the new run. A second press finds the run that the first one started."""
    return await _begun(request, "again")


async def undo(request: Request) -> Response:
    """Undo a successful run: 202 with the run that does it."""
    return await _begun(request, "undo")


async def _begun(request: Request, what: str) -> Response:
    try:
        run, row = await _ended(request)
        row, asked = _again(run, row) if what == "again" else _back(run, row)
        who = visitor_of(request)
        allowed = await catalogs(checked, load_settings(), who, row, asked, DOOR)
        body = allowed.model_dump(mode="json", exclude_unset=True)
        started = await start(row.name, body, key=f"{what}-{run.id}", tags=tags_of(caller_of(who)))
    except (ValidationError, ImagewrightError, LookupError) as error:
        return refused(error)
    url = started.url if who.identity.role == ADMIN else ""
    return JSONResponse(started.model_copy(update={"url": url}).model_dump(mode="json"), 202)


async def _ended(request: Request) -> tuple[FlowRun, Operation]:
    """Return an ended run that the visitor sees. Raises LookupError, ServerUnavailable."""
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            run = await client.read_flow_run(UUID(request.path_params["id"]))
            row = row_of_run((await client.read_flow(run.flow_id)).name)
    except (ObjectNotFound, ValueError) as error:
        raise LookupError("no such run") from error
    except UNREACHABLE as error:
        raise ServerUnavailable(SILENT) from error
    if row is None or not sees_run(visitor_of(request), run):
        raise LookupError("no such run")
    return run, row


def _again(run: FlowRun, row: Operation) -> tuple[Operation, BaseModel]:
    state = run.state
    if state is None or not state.is_final() or state.is_completed():
        raise InvalidRequest("run", str(run.id), "one that has failed; this one goes on, or ended well")
    return row, row.request.model_validate(run.parameters.get("request") or {})


def _back(run: FlowRun, row: Operation) -> tuple[Operation, BaseModel]:
    back, state = BACK.get(row.name), run.state
    if back is None or state is None or not state.is_completed():
        raise InvalidRequest("run", str(run.id), "one that ended well, and that has a way back")
    said = run.parameters.get("request") or {}
    kept = {name: said[name] for name in ("image_ids", "account") if name in said}
    return OPERATIONS[back], OPERATIONS[back].request.model_validate(kept)

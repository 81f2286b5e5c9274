"""Runs that wait for a person's approval: their questions, and the answers given in the console."""

import asyncio
import json
import re
from typing import Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog import open_catalog
from catalog.errors import ImageNotFound, InvalidRequest
from catalog.records import Record, SignedIn
from catalog.rules.accounts.roles import may
from console.entrance.bodies import body_of
from console.entrance.run_visibility import sees_run
from console.entrance.visitors import visitor_of
from console.starting import GLANCE_S, LIMIT_S, SILENT, UNREACHABLE, ServerUnavailable
from console.thread_pools import catalogs
from flows.registry import OPERATIONS
from flows.requests.sentences import sentence
from flows.server.client import prefect_client

ASKING = tuple(row.deployment for row in OPERATIONS.values() if row.asks)
"""The flows whose runs ask questions."""
IDENTITY = re.compile(r"(?<=image )[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
SHOWN = 20
"""Most waiting runs on a page."""
MAX_ANSWER = 4096


class Question(Record):
    """The question of a waiting run.

    text: the list, with images by name; count: of its items, which the person must type.
    """

    run_id: UUID
    text: str
    count: int


class Answer(Record):
    """A person's answer, as `flows.clean_leftovers.Approval` takes it."""

    decision: Literal["approve", "reject"]
    typed_count: int = 0
    reason: str = ""


def routes() -> list[Route]:
    """Return the routes."""
    return [Route("/api/runs/{id}/answer", answer, methods=["POST"])]


async def waiting(who: SignedIn) -> tuple[Question, ...]:
    """Return the open questions of runs that a visitor may answer, newest first; none if the server does not answer."""
    paused = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    try:
        async with asyncio.timeout(GLANCE_S), prefect_client() as client:
            found = await client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=list(ASKING))),
                flow_run_filter=FlowRunFilter(state=paused),
                limit=SHOWN,
            )
            asked = [await question_of(client, run) for run in found if may_answer(who, run)]
    except (*UNREACHABLE, ValueError):  # ValueError: no server is configured
        return ()
    return tuple(question for question in asked if question is not None)


def may_answer(who: SignedIn, run: FlowRun) -> bool:
    """Tell whether a visitor may answer a waiting run: they see the run and may do the operation."""
    return sees_run(who, run) and may(who, "change")


async def question_of(client: PrefectClient, run: FlowRun) -> Question | None:
    """Return a run's question, None if it has none. Raises the client's errors."""
    keys = run.state.state_details.run_input_keyset if run.state is not None else None
    if run.state is None or not run.state.is_paused() or not keys or "description" not in keys:
        return None
    try:
        text = str(json.loads(await client.read_flow_run_input(run.id, keys["description"])))
    except httpx.HTTPStatusError:
        return None
    count = sum(line.startswith("- ") for line in text.splitlines())
    return Question(run_id=run.id, text=await catalogs(_named, text.replace("**", "")), count=count)


def _named(text: str) -> str:
    """Return a text with images by name, as in plans."""
    with open_catalog() as catalog:

        def name(found: re.Match[str]) -> str:
            try:
                return f"{catalog.image(found[0]).name} ({found[0][:8]}…)"
            except ImageNotFound:
                return found[0]

        return IDENTITY.sub(name, text)


async def answer(request: Request) -> Response:
    """Answer a waiting run: 200, and the run continues. A wrong count is refused here, and the run keeps waiting."""
    try:
        body = await body_of(request, MAX_ANSWER)
        run_id, said = UUID(request.path_params["id"]), Answer.model_validate_json(body)
    except ValidationError as error:
        return JSONResponse({"error": sentence(error)}, 422)
    except InvalidRequest as error:
        return JSONResponse({"error": str(error)}, 422)
    except ValueError:
        return JSONResponse({"error": "no such run"}, 404)
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            return await _answered(client, run_id, said, visitor_of(request))
    except ObjectNotFound:
        return JSONResponse({"error": "no such run"}, 404)
    except UNREACHABLE:
        return JSONResponse({"error": str(ServerUnavailable(SILENT))}, 503)


async def _answered(client: PrefectClient, run_id: UUID, said: Answer, who: SignedIn) -> Response:
    run = await client.read_flow_run(run_id)
    if not sees_run(who, run):
        return JSONResponse({"error": "no such run"}, 404)
    if not may_answer(who, run):
        return JSONResponse(
            {"error": f"{who.identity.name!r} may not answer it: the role user or admin is needed"}, 403
        )
    asked = await question_of(client, run) if (await client.read_flow(run.flow_id)).name in ASKING else None
    if asked is None:
        return JSONResponse({"error": "this run waits for nobody: it was answered already, or has ended"}, 409)
    if said.decision == "approve" and said.typed_count != asked.count:
        return JSONResponse(
            {"error": f"{said.typed_count} was typed, {asked.count} are listed; nothing is deleted"}, 422
        )
    await client.resume_flow_run(run_id, run_input=said.model_dump())
    return JSONResponse({"state": "Scheduled"})

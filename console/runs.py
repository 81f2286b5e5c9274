"""Runs: starting one with a checked request, planning one, how one ended, how far images on their way are."""

import re
from collections.abc import Sequence
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import ObjectNotFound, PrefectException
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import flows
from catalog import open_catalog
from catalog.errors import ImagewrightError, InvalidRequest
from catalog.records import Plan, Record
from console.named import named_plan
from console.starting import ServerUnavailable, start
from flows import requests
from flows.command import request_model
from flows.sentences import sentence

MAX_BODY = 16 << 20
"""Bytes of a request at the most: the ids of some hundred thousand images."""
OUR_ERROR = re.compile(r"\A(?:Flow run|Task run) encountered an exception: (?:\w+: )?")


class Progress(Record):
    """How far an image on its way is. percent: 0 to 100."""

    percent: float
    sentence: str


def routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/flows/{flow}", begin, methods=["POST"]),
        Route("/api/plans/{flow}", plan, methods=["POST"]),
        Route("/api/runs/{id}", ended),
    ]


async def begin(request: Request) -> Response:
    """Start a run of a flow: 202 with its id and its page in the Prefect UI."""
    try:
        flow, asked = await _asked(request)
        started = await start(flow, asked.model_dump(mode="json", exclude_unset=True))
    except (ValidationError, ImagewrightError, LookupError) as error:
        return _refused(error)
    return JSONResponse(started.model_dump(mode="json"), 202)


async def plan(request: Request) -> Response:
    """Say what a run would do; nothing is changed."""
    try:
        flow, asked = await _asked(request)
        if "plan_only" not in type(asked).model_fields:
            raise LookupError(f"{flow} has no plan")
        found = await run_in_threadpool(_planned, flow, asked)
    except (ValidationError, ImagewrightError, LookupError) as error:
        return _refused(error)
    return JSONResponse(found.model_dump(mode="json") if isinstance(found, Plan) else {"summary": str(found)})


def _planned(flow: str, asked: requests.Request) -> object:
    """Return the plan of a flow, its subjects by their names."""
    found = getattr(flows, flow)(asked.model_copy(update={"plan_only": True}))
    if not isinstance(found, Plan):
        return found
    with open_catalog() as catalog:
        return named_plan(catalog, found)


async def ended(request: Request) -> Response:
    """Say where a run is: {"state", "finished", "failed", "message"}."""
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(request.path_params["id"]))
    except (ObjectNotFound, ValueError):
        return JSONResponse({"error": "no such run"}, 404)
    except (httpx.HTTPError, PrefectException) as error:
        return _refused(ServerUnavailable(type(error).__name__))
    state = run.state
    if state is None:
        return JSONResponse({"state": "Scheduled", "finished": False, "failed": False, "message": ""})
    told = {
        "state": state.name,
        "finished": state.is_final(),
        "failed": state.is_final() and not state.is_completed(),
    }
    return JSONResponse({**told, "message": OUR_ERROR.sub("", state.message or "")})


async def progress_of(image_ids: Sequence[str]) -> dict[str, Progress]:
    """Return how far images are, by id; nothing of those that no run brings in, or if the server does not answer."""
    if not image_ids:
        return {}
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"add-{image_id}" for image_id in image_ids]))
    try:
        async with get_client() as client:
            found = await client.read_artifacts(artifact_filter=wanted)
    except (httpx.HTTPError, PrefectException):
        return {}
    newest = sorted((a for a in found if a.key and a.created), key=lambda a: str(a.created))
    return {
        str(a.key).removeprefix("add-"): Progress(percent=_percent(a.data), sentence=(a.description or "").rpartition(": ")[2]) for a in newest
    }  # fmt: skip


def _percent(data: object) -> float:
    return float(data) if isinstance(data, int | float) else 0.0


async def _asked(request: Request) -> tuple[str, requests.Request]:
    flow = request.path_params["flow"]
    if flow not in flows.FLOWS:
        raise LookupError(f"no flow {flow!r}")
    return flow, request_model(flow).model_validate_json(await _body(request))


async def _body(request: Request) -> bytes:
    """Read no more than MAX_BODY into memory. Raises InvalidRequest."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise InvalidRequest(
                "request", f"more than {MAX_BODY} bytes", f"at most {MAX_BODY} bytes of JSON"
            )
    return bytes(body)


def _refused(error: Exception) -> JSONResponse:
    if isinstance(error, ValidationError):
        return JSONResponse({"error": sentence(error)}, 422)
    if isinstance(error, LookupError):
        return JSONResponse({"error": str(error.args[0])}, 404)
    return JSONResponse({"error": str(error)}, 503 if isinstance(error, ServerUnavailable) else 422)

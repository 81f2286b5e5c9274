"""Runs for pages: start one with a checked request, plan one, report how one ended and how far arriving images are."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import flows
from catalog import open_catalog
from catalog.errors import AccessDenied, CatalogUnavailable, ImagewrightError, NotAllowed, NotSignedIn, OtherAccount
from catalog.records import Plan, Record, SignedIn
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import load_settings
from catalog.units import utc_now
from console.approvals import may_answer, question_of
from console.authority import checked
from console.entrance.bodies import body_of
from console.entrance.run_visibility import sees_run
from console.entrance.visitors import DOOR, caller_of, visitor_of
from console.look.language import language_of
from console.look.telling import told, told_lines, told_plan
from console.plan_names import named_plan
from console.starting import GLANCE_S, LIMIT_S, SILENT, UNREACHABLE, ServerUnavailable, start
from console.thread_pools import TookTooLong, catalogs, plans
from flows import requests
from flows.add.draft import draft_image
from flows.registry import OPERATIONS
from flows.requests.sentences import sentence
from flows.server.client import prefect_client
from tasks.add.register import check_places
from tasks.runtime.runs.acting import tags_of
from tasks.runtime.task import without_runs

MAX_BODY = 16 << 20
"""Most bytes of a request: the ids of some hundred thousand images."""
STATUSES: Mapping[type[ImagewrightError], int] = {
    NotSignedIn: 401, NotAllowed: 403, OtherAccount: 403, AccessDenied: 403, ServerUnavailable: 503,
    TookTooLong: 503, CatalogUnavailable: 503,
}  # fmt: skip
OUR_ERROR = re.compile(r"\A(?:Flow run|Task run) encountered an exception: (?:\w+: )?")


class Progress(Record):
    """The progress of an arriving image. percent: 0 to 100."""

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
        who = visitor_of(request)
        flow, asked = await _asked(request, who)
        if isinstance(asked, requests.AddSystemImage | requests.AddVolumeImage):
            await catalogs(check_add, asked)
        started = await start(flow, asked.model_dump(mode="json", exclude_unset=True), tags=tags_of(caller_of(who)))
    except (ValidationError, ImagewrightError, LookupError) as error:
        return refused(error)
    url = started.url if who.identity.role == ADMIN else ""  # the page in the Prefect UI is the operators'
    return JSONResponse(started.model_copy(update={"url": url}).model_dump(mode="json"), 202)


def check_add(asked: requests.AddSystemImage | requests.AddVolumeImage) -> None:
    """Raise the errors of an add's form, so that they appear there instead of on a failed image."""
    draft = draft_image(asked, str(uuid4()), utc_now()).image
    with open_catalog() as catalog:
        check_places(catalog, draft)


async def plan(request: Request) -> Response:
    """Answer with what a run would do; change nothing."""
    try:
        flow, asked = await _asked(request, visitor_of(request))
        if "plan_only" not in type(asked).model_fields:
            raise LookupError(f"{flow} has no plan")
        found = await plans(_planned, flow, asked)
    except (ValidationError, ImagewrightError, LookupError) as error:
        return refused(error)
    if not isinstance(found, Plan):
        return JSONResponse({"summary": str(found)})
    said = await plans(told_plan, found, language_of(request))  # there may be an action per image
    return JSONResponse(said.model_dump(mode="json"))


def _planned(flow: str, asked: BaseModel) -> object:
    """Return the plan of a flow with named subjects, without a run: forms ask for it at every change."""
    with without_runs():
        found = getattr(flows, flow).fn(asked.model_copy(update={"plan_only": True}))
    if not isinstance(found, Plan):
        return found
    with open_catalog() as catalog:
        return named_plan(catalog, found)


async def ended(request: Request) -> Response:
    """Answer with a run's state: {"state", "finished", "failed", "message"}."""
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            run, who = await client.read_flow_run(UUID(request.path_params["id"])), visitor_of(request)
            if not sees_run(who, run):
                return JSONResponse({"error": "no such run"}, 404)
            asked = await question_of(client, run) if may_answer(who, run) else None
    except (ObjectNotFound, ValueError):
        return JSONResponse({"error": "no such run"}, 404)
    except UNREACHABLE:
        return refused(ServerUnavailable(SILENT))
    state = run.state
    if state is None:
        return JSONResponse({"state": "Scheduled", "finished": False, "failed": False, "message": ""})
    said = {
        "state": state.name,
        "finished": state.is_final(),
        "failed": state.is_final() and not state.is_completed(),
    }
    language = language_of(request)
    asks = {"asks": {**asked.model_dump(mode="json"), "text": told_lines(asked.text, language)}} if asked else {}
    return JSONResponse({**said, **asks, "message": told(OUR_ERROR.sub("", state.message or ""), language)})


async def progress_of(image_ids: Sequence[str]) -> dict[str, Progress]:
    """Return the progress of images by id; none for images without a run, or if the server does not answer."""
    if not image_ids:
        return {}
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"add-{image_id}" for image_id in image_ids]))
    try:
        async with asyncio.timeout(GLANCE_S), prefect_client() as client:
            found = await client.read_artifacts(artifact_filter=wanted)
    except UNREACHABLE:
        return {}
    newest = sorted((a for a in found if a.key and a.created), key=lambda a: str(a.created))
    return {
        str(a.key).removeprefix("add-"): Progress(
            percent=_percent(a.data), sentence=(a.description or "").rpartition(": ")[2]
        )
        for a in newest
    }


async def failures_of(runs: Sequence[str]) -> dict[str, str]:
    """Return the errors of failed runs by id; none for other runs, or if the server does not answer."""
    if not runs:
        return {}
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run) for run in runs]))
    try:
        async with asyncio.timeout(GLANCE_S), prefect_client() as client:
            found = await client.read_flow_runs(flow_run_filter=wanted)
    except UNREACHABLE:
        return {}
    return {
        str(run.id): OUR_ERROR.sub("", run.state.message or run.state.name or "")
        for run in found
        if run.state is not None and run.state.is_final() and not run.state.is_completed()
    }


def _percent(data: object) -> float:
    return float(data) if isinstance(data, int | float) else 0.0


async def _asked(request: Request, who: SignedIn) -> tuple[str, BaseModel]:
    """Return the flow and the checked request of an HTTP request. Raises as `console.authority.checked`."""
    flow = request.path_params["flow"]
    if flow not in OPERATIONS:
        raise LookupError(f"no flow {flow!r}")
    row = OPERATIONS[flow]
    asked: BaseModel = row.request.model_validate_json(await body_of(request, MAX_BODY))
    return flow, await catalogs(checked, load_settings(), who, row, asked, DOOR)


def refused(error: Exception) -> JSONResponse:
    """Answer with what is wrong with a request, or what does not answer."""
    if isinstance(error, ValidationError):
        return JSONResponse({"error": sentence(error)}, 422)
    if isinstance(error, LookupError):
        return JSONResponse({"error": str(error.args[0])}, 404)
    kinds = (status for kind, status in STATUSES.items() if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, next(kinds, 422))

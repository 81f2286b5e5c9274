"""The pages: tabs, details of an image, forms. What the catalog says, as HTML; every value is escaped."""

import json
from collections.abc import Mapping
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from catalog import open_catalog
from catalog.errors import ImageNotFound, InvalidRequest
from catalog.reading import AVAILABLE
from catalog.settings import Settings
from console.details import Details, details_of
from console.forms import fields_of, storage_names
from console.grave import grave_of
from console.measuring import Measuring
from console.rows import Row
from console.runs import progress_of
from console.shown import size, verb, when
from console.sorting import MOST
from console.starting import run_page
from console.tabs import FORMATS, KINDS, PAGE, TABS, View, page_of
from flows import FLOWS
from flows.command import request_model
from storage.uploads import Uploads

TEMPLATES = Jinja2Templates(Path(__file__).parent / "templates")
TEMPLATES.env.filters.update(size=size, when=when, verb=verb)
SENDABLE = ("add_system_image", "add_volume_image")
MAX_GIVEN = 64 << 10


async def trouble(request: Request, error: Exception) -> Response:
    """Say in a sentence what keeps a page from being made, e.g. a catalog that does not answer, or a filter that can't be."""
    return _sentence(request, str(error), 422 if isinstance(error, InvalidRequest) else 503)


def _sentence(request: Request, sentence: str, status: int) -> Response:
    return TEMPLATES.TemplateResponse(request, "error.html", {"tabs": TABS, "sentence": sentence}, status)


class Pages:
    """The endpoints of HTML, over a catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads, self._measuring = settings, Uploads(settings), Measuring(settings)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/table", self.table),
            Route("/images/{id}", self.image),
            Route("/forms/{flow}", self.form),
        ]

    async def page(self, request: Request) -> Response:
        """Give the whole page."""
        return await self._listed(request, "page.html")

    async def table(self, request: Request) -> Response:
        """Give only the table, for a page that renews itself."""
        return await self._listed(request, "table.html")

    async def image(self, request: Request) -> Response:
        """Give everything that is known about an image."""
        try:
            found = await run_in_threadpool(self._details, request.path_params["id"])
        except ImageNotFound as error:
            return _sentence(request, str(error), 404)
        shown = {"tabs": TABS, "tab": "images", "found": found, "run_page": run_page}
        return TEMPLATES.TemplateResponse(request, "image.html", shown)

    async def form(self, request: Request) -> Response:
        """Give the form of a flow; `given` in the query, a JSON object, is what stands there at first."""
        flow, text = request.path_params["flow"], request.query_params.get("given", "{}")
        try:
            given = json.loads(text) if len(text) <= MAX_GIVEN else None
        except (ValueError, RecursionError):  # no JSON, or nested too deeply
            given = None
        if flow not in FLOWS or not isinstance(given, dict):
            return JSONResponse({"error": f"no form of {flow!r} with {text[:40]!r}"}, 404)
        model, names = request_model(flow), await run_in_threadpool(self._storage_names)
        if flow == "set_image_storage_state":
            names = {**names, "name": names["image_storage"]}
        shown = {
            "flow": flow, "about": (model.__doc__ or "").partition("\n")[0], "fields": fields_of(model, given, names),
            "plans": "plan_only" in model.model_fields, "sendable": flow in SENDABLE,
            "grave": await run_in_threadpool(self._grave, flow, given),
        }  # fmt: skip
        return TEMPLATES.TemplateResponse(request, "form.html", shown)

    async def _listed(self, request: Request, template: str) -> Response:
        query = request.query_params
        name = query.get("tab", "images")
        if name not in TABS:
            return _sentence(request, f"no tab {name!r}", 404)
        text = query.get("page", "0")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
        rows, more = await run_in_threadpool(self._rows, name, dict(query), number)
        arriving = await progress_of([row.id for row in rows if row.arriving])
        shown = {
            "tabs": TABS, "tab": name, "rows": rows, "page": number, "more": more, "progress": arriving, "query": query,
            "sort": query.get("sort", ""),
            "filters": await run_in_threadpool(self._filters) if template == "page.html" else {},
            "waiting": sum(1 for _ in self._uploads.all()), "most": MOST,
            "cut": bool(query.get("sort")) and not more and number * PAGE + len(rows) >= MOST,
        }  # fmt: skip
        return TEMPLATES.TemplateResponse(request, template, shown)

    def _rows(self, name: str, query: Mapping[str, str], number: int) -> tuple[list[Row], bool]:
        with open_catalog(self._settings.catalog_address) as catalog:
            return page_of(TABS[name], View(catalog, query, self._measuring, self._uploads), number)

    def _details(self, image_id: str) -> Details:
        with open_catalog(self._settings.catalog_address) as catalog:
            return details_of(catalog, image_id)

    def _grave(self, flow: str, given: Mapping[str, object]) -> str | None:
        with open_catalog(self._settings.catalog_address) as catalog:
            return grave_of(catalog, self._settings, flow, given)

    def _filters(self) -> Mapping[str, tuple[str, ...]]:
        """Return what images can be filtered by, with the values there are, in the order of the page."""
        return {
            "status": tuple(status.value for status in AVAILABLE),
            "kind": KINDS,
            "format": FORMATS,
            "storage": self._storage_names()["image_storage"],
        }

    def _storage_names(self) -> Mapping[str, tuple[str, ...]]:
        with open_catalog(self._settings.catalog_address) as catalog:
            return storage_names(
                tuple(storage.name for storage in catalog.image_storages()),
                tuple(storage.name for storage in catalog.primary_storages()),
            )

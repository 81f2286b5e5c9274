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
from catalog.errors import ImageNotFound
from catalog.reading import Reading
from catalog.records import ImageStatus
from catalog.settings import Settings
from console.details import Details, details_of
from console.forms import fields_of
from console.runs import progress_of
from console.shown import size, verb, when
from console.tabs import TABS, Row, page_of
from flows import FLOWS
from flows.cli import request_model
from storage.uploads import Upload, Uploads

TEMPLATES = Jinja2Templates(Path(__file__).parent / "templates")
TEMPLATES.env.filters.update(size=size, when=when, verb=verb)
SENDABLE = ("add_system_image", "add_volume_image")
MAX_GIVEN = 64 << 10


async def trouble(request: Request, error: Exception) -> Response:
    """Say in a sentence what keeps a page from being made, e.g. a catalog that does not answer."""
    return TEMPLATES.TemplateResponse(request, "error.html", {"sentence": str(error)}, 503)


class Pages:
    """The endpoints of HTML, over a catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads = settings, Uploads(settings)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/table", self.table),
            Route("/images/{id}", self.image),
            Route("/forms/{flow}", self.form),
            Route("/api/uploads", self.uploads),
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
            return TEMPLATES.TemplateResponse(request, "error.html", {"sentence": str(error)}, 404)
        return TEMPLATES.TemplateResponse(
            request, "image.html", {"tabs": TABS, "tab": "images", "found": found}
        )

    async def form(self, request: Request) -> Response:
        """Give the form of a flow; `given` in the query, a JSON object, is what stands there at first."""
        flow, text = request.path_params["flow"], request.query_params.get("given", "{}")
        try:
            given = json.loads(text) if len(text) <= MAX_GIVEN else None
        except ValueError:
            given = None
        if flow not in FLOWS or not isinstance(given, dict):
            return JSONResponse({"error": f"no form of {flow!r} with {text[:40]!r}"}, 404)
        model = request_model(flow)
        shown = {
            "flow": flow, "about": (model.__doc__ or "").partition("\n")[0], "fields": fields_of(model, given),
            "plans": "plan_only" in model.model_fields, "sendable": flow in SENDABLE,
        }  # fmt: skip
        return TEMPLATES.TemplateResponse(request, "form.html", shown)

    async def uploads(self, _request: Request) -> Response:
        """List uploads whose image is not there yet."""
        return JSONResponse(await run_in_threadpool(self._all_uploads))

    async def _listed(self, request: Request, template: str) -> Response:
        query = request.query_params
        name = query.get("tab", "images")
        if name not in TABS:
            return TEMPLATES.TemplateResponse(request, "error.html", {"sentence": f"no tab {name!r}"}, 404)
        text = query.get("page", "0")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
        rows, more = await run_in_threadpool(self._rows, name, dict(query), number)
        arriving = await progress_of([row.id for row in rows if row.arriving])
        shown = {
            "tabs": TABS, "tab": name, "rows": rows, "page": number, "more": more, "progress": arriving, "query": query,
            "statuses": [status.value for status in ImageStatus if status is not ImageStatus.DELETED],
        }  # fmt: skip
        return TEMPLATES.TemplateResponse(request, template, shown)

    def _rows(self, name: str, query: Mapping[str, str], number: int) -> tuple[list[Row], bool]:
        with open_catalog(self._settings.catalog_address) as catalog:
            return page_of(catalog, TABS[name], query, number)

    def _details(self, image_id: str) -> Details:
        with open_catalog(self._settings.catalog_address) as catalog:
            return details_of(catalog, image_id)

    def _all_uploads(self) -> list[dict[str, object]]:
        with open_catalog(self._settings.catalog_address) as catalog:
            return [self._told(upload, _trouble(catalog, upload.id)) for upload in self._uploads.all()]

    def _told(self, upload: Upload, error: str) -> dict[str, object]:
        offset = self._uploads.offset(upload.id)
        whole = "Failed" if error else "Adding"
        coming = "Suspended" if self._uploads.is_idle(upload.id) else "Uploading"
        return {
            "id": upload.id, "filename": upload.filename, "name": json.loads(upload.request).get("name", ""),
            "offset": offset, "length": upload.length, "state": whole if offset == upload.length else coming,
            "error": error, "expires_at": self._uploads.expires_at(upload.id).isoformat(),
        }  # fmt: skip


def _trouble(catalog: Reading, image_id: str) -> str:
    try:
        return catalog.image(image_id).error or ""
    except ImageNotFound:
        return ""

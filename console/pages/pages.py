"""The HTML pages: tabs, details of an image, forms. Every value is escaped."""

import asyncio
import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest
from catalog.records import Image, ImageStatus, SignedIn
from catalog.repository.reading.image_filter import AVAILABLE
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.naming import download_name
from catalog.rules.images.operating_systems import UEFI_SHELL, UEFI_TABLE
from catalog.rules.storages.sources import UPLOAD
from catalog.settings import Settings
from console.approvals import waiting
from console.entrance.visitors import opened, visitor_of
from console.look.templates import TEMPLATES
from console.pages.actions import manies, offered, permitted, previewed, shortened
from console.pages.confirmations import confirmation_of
from console.pages.details import Details, details_of, whole_id
from console.pages.disk import Disk, disk_of
from console.pages.forms import fields_of, fills_in, storage_names
from console.pages.present_values import present_values
from console.pages.rows import Row, left_to, stopped
from console.pages.sorting import MOST
from console.pages.start.overview import Overview, overview_of
from console.pages.start.running import running_now
from console.pages.storage_usage import StorageUsage
from console.pages.tabs import ARCHITECTURES, DEPRECATED, FORMATS, KINDS, PAGE, TABS, View, page_of
from console.pages.values import size, when
from console.runs import failures_of, progress_of
from console.security import OURS
from console.starting import run_page
from console.thread_pools import catalogs, plans
from console.transfers.replica_contents import OpenReaders, same_file, whole_file
from console.visibility import Visibility, sees_upload
from flows.registry import OPERATIONS
from storage.boot.layout import layout_of
from tasks.runtime.uploads import open_uploads

TEMPLATES.env.filters.update(size=size, when=when, manies=manies, shortened=shortened)
MAX_GIVEN = 64 << 10
TITLES: Mapping[str, str] = {
    "status": "Status",
    "kind": "Kind",
    "format": "Format added",
    "storage": "Storage",
    "architecture": "Architecture",
    "deprecated": "Deprecated",
}
"""Filters of images, besides words and a label, in the order of the page."""
FILTERS = frozenset({*TITLES, "name", "q", "label"})
STATES = frozenset(
    {
        *(status.value for status in ImageStatus),
        *("Failed", "Disabled", "Disconnected", "Connected", "Uploading", "Suspended", "Refused", "Waiting", "Adding"),
    }
)
"""Words in a list that are styled as a state."""


async def trouble(request: Request, error: Exception) -> Response:
    """Answer with a sentence why a page can't be shown, e.g. a catalog that does not answer, or an invalid filter."""
    return _sentence(request, str(error), 422 if isinstance(error, InvalidRequest) else 503)


def _sentence(request: Request, sentence: str, status: int) -> Response:
    return TEMPLATES.TemplateResponse(request, "error.html", {"tabs": TABS, "sentence": sentence}, status)


class Pages:
    """The endpoints of HTML, over a catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads, self._usage = settings, open_uploads(settings), StorageUsage(settings)
        self._readers = OpenReaders()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/table", self.table),
            Route("/images/{id}", self.image),
            Route("/images/{id}/disk", self.disk),
            Route("/forms/{flow}", self.form),
        ]

    async def page(self, request: Request) -> Response:
        """Return the start page, or the list that the address names."""
        if not request.url.query:
            return await self._start(request)
        return await self._listed(request, "page.html")

    async def _start(self, request: Request) -> Response:
        who = visitor_of(request)
        overview, running = await asyncio.gather(catalogs(self._overview, who), running_now(who))
        shown = {
            "tabs": TABS,
            "tab": "start",
            "found": overview,
            "running": running,
            "actions": [flow for flow in TABS["images"].actions if permitted(who, flow)],
            "run_page": who.identity.role == ADMIN,
            "waiting": await catalogs(self._count_uploads, who),
        }
        return TEMPLATES.TemplateResponse(request, "start.html", shown)

    def _overview(self, who: SignedIn) -> Overview:
        with opened(self._settings, who) as catalog:
            return overview_of(View(Visibility(catalog, who), {}, self._usage, self._uploads))

    async def table(self, request: Request) -> Response:
        """Return only the table, for a page that updates itself."""
        return await self._listed(request, "table.html")

    async def image(self, request: Request) -> Response:
        """Return an image's details; a shortened id redirects to them."""
        who, asked = visitor_of(request), request.path_params["id"]
        try:
            found = await catalogs(self._details, asked, who, dict(request.query_params))
        except ImageNotFound as error:
            whole = await catalogs(self._whole_id, asked, who)
            return RedirectResponse(f"/images/{whole}") if whole else _sentence(request, str(error), 404)
        shown = {
            "tabs": TABS,
            "tab": "images",
            "found": found,
            "run_page": run_page if who.identity.role == ADMIN else None,
            "download_name": download_name,
        }
        return TEMPLATES.TemplateResponse(request, "image.html", shown)

    async def disk(self, request: Request) -> Response:
        """Return the picture of an image's file: as a part for the image's page, or as a page of its own."""
        shown = {"tabs": TABS, "tab": "images", "fragment": OURS in request.headers}
        try:
            image, disk = await plans(self._disk, request.path_params["id"], visitor_of(request))
        except ImageNotFound as error:
            return _sentence(request, str(error), 404)
        except ImagewrightError as error:
            return TEMPLATES.TemplateResponse(request, "disk.html", {**shown, "image": {}, "trouble": str(error)})
        return TEMPLATES.TemplateResponse(request, "disk.html", {**shown, "image": image, "disk": disk})

    async def form(self, request: Request) -> Response:
        """Return the form of a flow; `given` in the query, a JSON object, has its first values."""
        flow, text = request.path_params["flow"], request.query_params.get("given", "{}")
        try:
            given = json.loads(text) if len(text) <= MAX_GIVEN else None
            json.dumps(given, ensure_ascii=False).encode()
        except (
            ValueError,
            RecursionError,
        ):  # not JSON, nested too deeply, or a lone surrogate
            given = None
        if flow not in OPERATIONS or not isinstance(given, dict):
            return JSONResponse({"error": f"no form of {flow!r} with {text[:40]!r}"}, 404)
        who = visitor_of(request)
        if not permitted(who, flow):
            return JSONResponse(
                {"error": f"{who.identity.name!r} may not do this by the role {who.identity.role}"}, 403
            )
        model, names = OPERATIONS[flow].request, await catalogs(self._storage_names)
        present, sendable = await catalogs(self._present, flow, given, who), flow in offered("upload")
        shown = {
            "flow": flow,
            "about": (model.__doc__ or "").partition("\n")[0],
            "fields": [field for field in fields_of(model, given, names, present) if fills_in(who, field.name)],
            "plans": "plan_only" in model.model_fields,
            "sendable": sendable,
            "previews": previewed(flow),
            "kinds": [(row.name, row.adds) for row in OPERATIONS.values() if row.adds] if _brings_in(flow) else [],
            "uefi_table": UEFI_TABLE,
            "uefi_shell": UEFI_SHELL,
            "confirm": await catalogs(self._confirmation, flow, given, who),
            "upload": _upload_of(given) if sendable else "",
        }
        return TEMPLATES.TemplateResponse(request, "form.html", shown)

    async def _listed(self, request: Request, template: str) -> Response:
        query = request.query_params
        name = query.get("tab", "images")
        if name not in TABS:
            return _sentence(request, f"no tab {name!r}", 404)
        text = query.get("page", "0")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
        who = visitor_of(request)
        rows, more, unreadable = await catalogs(self._rows, name, dict(query), number, who)
        if name == "uploads":
            rows = [left_to(who, row) for row in await self._with_failures(rows)]
        asking = await waiting(who) if name == "leftovers" else ()
        arriving = await progress_of([row.id for row in rows if row.arriving])
        shown = {
            "tabs": TABS,
            "tab": name,
            "rows": rows,
            "actions": [flow for flow in TABS[name].actions if permitted(who, flow)],
            "page": number,
            "more": more,
            "progress": arriving,
            "query": query,
            "asking": asking,
            "sort": query.get("sort", ""),
            "filters": await catalogs(self._filters) if template == "page.html" else {},
            "unreadable": unreadable,
            "waiting": await catalogs(self._count_uploads, who),
            "most": MOST,
            "states": STATES,
            "titles": TITLES,
            "filtered": bool(FILTERS & {name for name, value in query.items() if value}),
            "cut": bool(query.get("sort"))
            and TABS[name].in_order is None
            and not more
            and number * PAGE + len(rows) >= MOST,
        }
        return TEMPLATES.TemplateResponse(request, template, shown)

    async def _with_failures(self, rows: list[Row]) -> list[Row]:
        """Return the lines of uploads, with those marked whose run failed before it had an image to show the error."""
        runs = {row.id: self._uploads.runs(row.id)[-1:] for row in rows if row.cells[1] == "Adding"}
        failed = await failures_of([run for last in runs.values() for run in last])
        whys = {row_id: failed.get(run, "") for row_id, last in runs.items() for run in last}
        return [stopped(row, whys[row.id]) if whys.get(row.id) else row for row in rows]

    def _count_uploads(self, who: SignedIn) -> int:
        return sum(sees_upload(who, upload) for upload in self._uploads.all())

    def _rows(
        self, name: str, query: Mapping[str, str], number: int, who: SignedIn
    ) -> tuple[list[Row], bool, tuple[str, ...]]:
        """Return the rows of a page, whether there are more, and the records that can't be read."""
        with opened(self._settings, who) as catalog:
            view = View(Visibility(catalog, who), query, self._usage, self._uploads)
            rows, more = page_of(TABS[name], view, number)
            unreadable = tuple(map(str, catalog.unreadable.values()))
            return rows, more, unreadable if who.identity.role == ADMIN else ()

    def _details(self, image_id: str, who: SignedIn, query: Mapping[str, str]) -> Details:
        with opened(self._settings, who) as catalog:
            return details_of(Visibility(catalog, who), self._uploads, image_id, query)

    def _whole_id(self, part: str, who: SignedIn) -> str | None:
        with opened(self._settings, who) as catalog:
            return whole_id(Visibility(catalog, who), part)

    def _disk(self, image_id: str, who: SignedIn) -> tuple[Image, Disk]:
        with opened(self._settings, who) as catalog:
            image = Visibility(catalog, who).image(image_id)
            first, *others = same_file(catalog, image)
        with whole_file(self._readers, [first, *others]) as file:
            return image, disk_of(image, first, file.extents(), layout_of(file, first.format))

    def _present(self, flow: str, given: Mapping[str, object], who: SignedIn) -> Mapping[str, object]:
        with opened(self._settings, who) as catalog:
            return present_values(Visibility(catalog, who), flow, given)

    def _confirmation(self, flow: str, given: Mapping[str, object], who: SignedIn) -> str | None:
        with opened(self._settings, who) as catalog:
            return confirmation_of(Visibility(catalog, who), self._settings, flow, given)

    def _filters(self) -> Mapping[str, tuple[str, ...]]:
        """Return the filters of images with the existing values, in the order of the page."""
        return {
            "status": tuple(status.value for status in AVAILABLE),
            "kind": KINDS,
            "format": FORMATS,
            "storage": self._storage_names()["image_storage"],
            "architecture": ARCHITECTURES,
            "deprecated": tuple(way for way in DEPRECATED if way),
        }

    def _storage_names(self) -> Mapping[str, tuple[str, ...]]:
        with opened(self._settings) as catalog:
            return storage_names(
                tuple(storage.name for storage in catalog.image_storages()),
                tuple(storage.name for storage in catalog.primary_storages()),
            )


def _brings_in(flow: str) -> bool:
    """Tell whether a flow adds an image: its form asks for the type."""
    return bool(OPERATIONS[flow].adds)


def _upload_of(given: Mapping[str, object]) -> str:
    """Return the id of a form's upload, "" if it has none."""
    scheme, _, upload_id = str(given.get("image_path", "")).partition("://")
    return upload_id if scheme == UPLOAD else ""

"""Forward requests about exports and uploads on another host to that host, and pass its answer on.

There are no redirects: a browser reaches the host that it asked, and usually no other.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from inspect import cleandoc

import httpx
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog import open_catalog
from catalog.errors import ExportNotFound, HostAway, ImagewrightError, InvalidRequest, NotFound, NotSignedIn
from catalog.errors.describing import described
from catalog.records import Host, SignedIn
from catalog.repository.catalog import Catalog
from catalog.repository.identities.sign_in import signed_in
from catalog.repository.reading.reading import Reading
from catalog.rules.accounts.roles import may
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import Settings
from catalog.store import record_kinds
from console.entrance.visitors import DOOR, KEY
from console.security import is_api
from console.thread_pools import catalogs
from console.transfers.announcing import metadata_of, model_of, object_of
from console.visibility import Visibility
from flows.registry import row_of
from storage.sources.network.wire import tls_context
from tasks.add.reservation import subject_of
from tasks.hosts.routing import route_of
from tasks.runtime.export_places import host_of_export

PASSED = "X-Imagewright-Passed-On"
UPLOAD = re.compile(
    r"/(?:uploads|api/v1/uploads|api/uploads|api/retry)/(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/.*)?"
)
LINK = re.compile(r"/api/exports/(?P<id>[^/]+)/link")
NEW_UPLOADS = ("/uploads", "/api/v1/uploads")
DOWNLOAD = re.compile(r"/download/(?P<token>[^/]+)/.*")
OF_THE_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host",
     "origin", "sec-fetch-site")
)  # fmt: skip
"""Headers about a single connection, and those about the asking page, which this host has already checked."""


def lies_on_a_host(method: str, path: str) -> bool:
    """Tell whether a request is about bytes that a single host may have; others need no query of the catalog."""
    about = any(pattern.fullmatch(path) for pattern in (UPLOAD, LINK, DOWNLOAD))
    return about or (method == "POST" and path in NEW_UPLOADS)


class AtItsHost:
    """ASGI middleware, idle if the catalog has one host only."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer here, or pass on the other host's answer."""
        shared = self._settings.catalog_is_shared
        if scope["type"] != "http" or not shared or not lies_on_a_host(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if PASSED in request.headers:  # another host has forwarded it: never forward twice
            await self._app(scope, receive, send)
            return
        try:
            visitor = request.scope.get(KEY)  # None on an open path
            host = await catalogs(self._host_of, request.method, request.url.path, dict(request.headers), visitor)
            answer = await self._passed_on(request, host) if host else None
        except ImagewrightError as error:
            answer = _away(request.url.path, error)
        await (answer or self._app)(scope, receive, send)

    def _host_of(self, method: str, path: str, headers: Mapping[str, str], who: SignedIn | None) -> Host | None:
        """Return the other host that has the bytes, None for this one. Raises HostAway.

        A visitor who is unknown, or may not see them, is answered here and learns nothing of other hosts.
        """
        with open_catalog(self._settings.catalog_address) as catalog:
            if is_api(path):
                who = _known(catalog, headers.get("authorization", ""))
            if (is_api(path) and who is None) or (who is not None and _is_hidden(catalog, who, path)):
                return None
            name = self._named(catalog, method, path, headers)
            if name in (None, self._settings.host_name):
                return None
            told = f"what was asked for lies on {name}"
            if away := catalog.why_away(str(name)):
                raise HostAway(str(name), away, told)
            host = catalog.host(str(name))
        if not host.address:
            reason = "other hosts do not reach its console; set IMAGEWRIGHT_HOST_ADDRESS there, or open that console"
            raise HostAway(host.name, reason, told)
        return host

    def _named(self, catalog: Reading, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        if found := UPLOAD.fullmatch(path):
            return catalog.upload_host(found["id"])
        if found := LINK.fullmatch(path):
            return self._of_export(catalog, found["id"])
        if found := DOWNLOAD.fullmatch(path):
            return self._of_export(catalog, _export_in(found["token"]))
        return self._of_new_upload(headers) if method == "POST" and path in NEW_UPLOADS else None

    def _of_export(self, catalog: Reading, export_id: str) -> str | None:
        try:
            return host_of_export(catalog, self._settings, catalog.exported(export_id))
        except NotFound:
            return None

    def _of_new_upload(self, headers: Mapping[str, str]) -> str | None:
        """Return the host whose directory the image goes to: the bytes are sent there directly."""
        try:
            said = metadata_of(headers.get("upload-metadata", ""))
            model = model_of(said.get("flow", ""))
            request = model.model_validate({"image_path": "upload://", **object_of(said.get("request", ""))})
            return route_of(row_of(model).bytes_at, request, self._settings).host
        except (InvalidRequest, ValidationError):  # this host's answer reports the error
            return None

    async def _passed_on(self, request: Request, host: Host) -> Response:
        limits = httpx.Timeout(self._settings.read_timeout_s, connect=self._settings.connect_timeout_s)
        secure = tls_context(self._settings.ca_file) if host.address.startswith("https:") else False
        client = httpx.AsyncClient(base_url=host.address, timeout=limits, trust_env=False, verify=secure)
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.scope.get("raw_path", request.url.path.encode()).decode().partition("?")[0]
        sending = client.build_request(
            request.method,
            f"{path}{query}",
            headers=[*_kept(request.headers.items()), (PASSED, self._settings.host_name)],
            content=request.stream() if request.method in ("PATCH", "POST") else None,
        )
        try:
            answer = await client.send(sending, stream=True)
        except (httpx.HTTPError, ValueError) as error:
            await client.aclose()
            raise HostAway(
                host.name, f"its console does not answer: {error}", f"what was asked for lies on {host.name}"
            ) from error

        async def close() -> None:
            await answer.aclose()
            await client.aclose()

        passed = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(close))
        passed.raw_headers = [
            (name.encode(), value.encode("latin-1")) for name, value in _kept(answer.headers.multi_items())
        ]
        return passed


def _kept(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers to pass on."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]


def _known(catalog: Catalog, authorization: str) -> SignedIn | None:
    with suppress(NotSignedIn):
        return signed_in(catalog, authorization.partition(" ")[2])
    return None


def _is_hidden(catalog: Catalog, who: SignedIn, path: str) -> bool:
    """Tell whether the visitor may not see the subject: this host then answers, as if it did not exist."""
    if who.identity.role == ADMIN or not may(who, "read"):
        return who.identity.role != ADMIN
    if found := UPLOAD.fullmatch(path):
        promised = catalog.listed(record_kinds.RESERVATION, subject=subject_of(found["id"]))
        return any(one.account != who.identity.account for one in promised)
    if found := LINK.fullmatch(path):
        try:
            Visibility(catalog.on_behalf_of(who.identity.name, DOOR), who).export(found["id"])
        except ExportNotFound:
            return True
    return False


def _away(path: str, error: ImagewrightError) -> Response:
    """Answer that a host is away, in the format for pages or for programs."""
    if not is_api(path):
        return JSONResponse({"error": str(error)}, 503)
    title = cleandoc(type(error).__doc__ or "").partition("\n")[0]
    body = {"title": title, "status": 503, **described(error)}
    return JSONResponse(body, 503, media_type="application/problem+json")


def _export_in(token: str) -> str:
    """Return the export that a link names; the host that sends the file verifies the link."""
    try:
        return urlsafe_b64decode(token.partition(".")[0]).decode().rpartition(" ")[0]
    except ValueError:
        return ""

"""The API as an ASGI application, mounted below /api/v1."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from console.api.v1 import (
    contents,
    docs,
    figures,
    identities,
    listings,
    operations,
    problems,
    runs,
    sessions,
    uploads,
)
from console.api.v1.docs import with_problems
from console.api.v1.signing import DOOR
from console.entrance.proxies import Proxies
from console.entrance.rates import Rates
from console.oidc.signing_in import OidcSignIn
from console.transfers.downloads import ExportedFiles
from console.transfers.replica_contents import OpenReaders
from console.transfers.uploads import PROTOCOL, TusServer

PATH = "/api/v1"
DEVICES_PER_MINUTE = 60
"""Requests of an address for or about device codes: each makes us ask the provider."""
MAX_BODY = 4 << 20
"""Most bytes of a request: the ids of some ten thousand images."""
ROUTERS = (sessions, identities, listings, figures, contents, operations, runs, uploads, docs)


class SpeaksTus:
    """ASGI middleware: add the tus version to every answer about uploads, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the protocol's headers to the answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(PROTOCOL)
            await send(message)

        about = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PATH}/uploads/")
        await self._app(scope, receive, send_with_headers if about else send)


class Bounded:
    """ASGI middleware: read a body in full before it is used, up to the limit.

    The bytes of an upload are limited by its announcement, and go to its file as they arrive.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is too large, or pass it on."""
        sends = scope["type"] == "http" and scope["method"] == "PATCH" and scope["path"].startswith(f"{PATH}/uploads/")
        if scope["type"] != "http" or sends:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            refusal = problems.plainly(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes are taken")
            refusal.headers["Connection"] = "close"  # the rest is not read
            await refusal(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def read_before() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, read_before, send)


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body, None if it is too large, b"" if the client has gone."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(parts)


class Api(FastAPI):
    """FastAPI with the errors described in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is built once."""
        if not self.openapi_schema:
            self.openapi_schema = with_problems(super().openapi())
        return self.openapi_schema


def create_api(settings: Settings, oidc: OidcSignIn) -> FastAPI:
    """Return the application. oidc: sign-in by the OpenID provider."""
    api = Api(
        title="Imagewright",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        description="The life cycle of VM and cloud images: add, verify, deduplicate, move, deliver.",
        responses=problems.DOCUMENTED,
        separate_input_output_schemas=False,
        servers=[{"url": PATH}],
        root_path_in_servers=False,
        redirect_slashes=False,
    )
    api.state.settings = settings
    api.state.proxies, api.state.rates = Proxies(settings.trusted_proxies), Rates(settings.api_requests_per_minute)
    api.state.oidc, api.state.device_rates = oidc, Rates(DEVICES_PER_MINUTE)
    api.state.tus = TusServer(settings, f"{PATH}/uploads", DOOR)
    api.state.readers, api.state.exported = OpenReaders(), ExportedFiles(settings)
    for room in ROUTERS:
        api.include_router(room.router)
    api.add_middleware(Bounded)
    api.add_middleware(SpeaksTus)
    api.add_exception_handler(ImagewrightError, problems.told)
    api.add_exception_handler(RequestValidationError, problems.misread)
    api.add_exception_handler(ValidationError, problems.misread)
    api.add_exception_handler(HTTPException, problems.plain)
    api.add_exception_handler(Exception, problems.failed)
    return api

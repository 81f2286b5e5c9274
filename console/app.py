"""The console as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from prefect.settings import get_current_settings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from console import approvals, runs
from console.api.v1 import problems
from console.api.v1.app import PATH, create_api
from console.entrance.proxies import Proxies
from console.health.access import Watchers
from console.health.routes import Health
from console.live.routes import Live
from console.login import setup
from console.login.oidc import OidcPages
from console.login.pages import SignInPages
from console.login.persons import SessionPersons
from console.look import preferences
from console.look.telling import InTheirLanguage
from console.oidc.signing_in import OidcSignIn
from console.pages.access.routes import AccessPages
from console.pages.form_routes import FormRoutes
from console.pages.pages import Pages, trouble
from console.published.tree import Published
from console.security import Guard, is_api
from console.sites import objects as sites
from console.sites.objects import SiteStores
from console.transfers.adding import Adding
from console.transfers.at_its_host import AtItsHost
from console.transfers.downloads import Downloads
from console.transfers.retrying import Retrying
from console.transfers.upload_pieces import UploadPieces
from console.transfers.upload_routes import UploadRoutes
from flows.server.guard import host_name

STATIC = Path(__file__).parent / "static"


def answered_names(settings: Settings) -> tuple[str, ...]:
    """Return the console's host names: those of its setting, and the one that other hosts use."""
    reached = urlsplit(settings.host_address).netloc
    return (*settings.console_hosts, *([host_name(reached)] if reached else []))


def create_app(settings: Settings, auth: str = "") -> Starlette:
    """Return the application.

    auth: `user:password` of the operators; empty: no password is needed while there is no person.
    """
    proxies, oidc, live = Proxies(settings.trusted_proxies), OidcSignIn(settings), Live(settings)

    @asynccontextmanager
    async def beside(_app: Starlette) -> AsyncIterator[None]:
        """Run the background work for as long as the console runs."""
        going_on = asyncio.create_task(Adding(settings).go_on())
        yield
        going_on.cancel()
        await live.watch.close()

    return Starlette(
        routes=[
            *_health(settings).routes(),
            *Pages(settings).routes(),
            *FormRoutes(settings).routes(),
            *AccessPages(settings).routes(),
            *runs.routes(),
            *approvals.routes(),
            *live.routes(),
            *setup.routes(),
            *preferences.routes(),
            *SignInPages(settings, proxies, oidc.title).routes(),
            *OidcPages(settings, proxies, oidc).routes(),
            *UploadRoutes(settings).routes(),
            *UploadPieces(settings).routes(),
            *Retrying(settings).routes(),
            *Downloads(settings).routes(),
            *Published(settings).routes(),
            Mount(PATH, create_api(settings, oidc)),
            Mount(sites.PATH, SiteStores(settings).app()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(InTheirLanguage, apart=is_api),
            Middleware(
                Guard,
                hosts=answered_names(settings),
                auth=auth,
                open_to=Watchers(settings.monitoring_networks).may_ask,
                persons=SessionPersons(settings, proxies),
                proxies=proxies,
            ),
            Middleware(AtItsHost, settings=settings),
        ],
        exception_handlers={ImagewrightError: trouble, HTTPException: _nowhere},
        lifespan=beside,
    )


async def _nowhere(request: Request, error: Exception) -> Response:
    """Answer an HTTPException, to programs as a problem: e.g. a path with a line feed, which matches no mount."""
    assert isinstance(error, HTTPException)
    if is_api(request.url.path):
        return await problems.plain(request, error)
    return PlainTextResponse(error.detail, error.status_code, error.headers)


def _health(settings: Settings) -> Health:
    """Return the health endpoints, which ask the Prefect server that this process was started for."""
    api = get_current_settings().api
    return Health(settings, api.url or "", api.auth_string.get_secret_value() if api.auth_string else "")

"""The console as an ASGI application."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from console import runs
from console.downloads import Downloads
from console.kept import Kept
from console.pages import Pages, trouble
from console.security import Guard
from console.uploads import TusServer

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings, auth: str = "") -> Starlette:
    """Return the application. auth: `user:password` that is asked for, empty for none."""
    return Starlette(
        routes=[
            *Pages(settings).routes(),
            *runs.routes(),
            *TusServer(settings).routes(),
            *Kept(settings).routes(),
            *Downloads(settings).routes(),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=settings.console_hosts, auth=auth)],
        exception_handlers={ImagewrightError: trouble},
    )

"""The page of the one-time setup link. Its token is in the fragment, which no browser sends and no log records."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.look.templates import TEMPLATES

PATH = "/setup"


def routes() -> list[Route]:
    """Return the routes."""
    return [Route(PATH, page)]


async def page(request: Request) -> Response:
    """Show the form for the first administrator's name and password; the API checks the link's token."""
    return TEMPLATES.TemplateResponse(request, "setup.html")

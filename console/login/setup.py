"""The page of the one-time link. What the link proves is in its fragment, which no browser sends and no log keeps."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.look.templates import TEMPLATES

PATH = "/setup"


def routes() -> list[Route]:
    """Return the routes."""
    return [Route(PATH, page)]


async def page(request: Request) -> Response:
    """Ask for the name and password of the first administrator; the service says whether the link is good for it."""
    return TEMPLATES.TemplateResponse(request, "setup.html")

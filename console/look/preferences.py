"""Language, and light or dark: kept in anonymous cookies and set by links, so that they work without scripts."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.look import language

THEME_COOKIE = "imagewright-theme"
THEMES: Mapping[str, tuple[str, str]] = {
    "": ("monitor", "As the system has it"),
    "light": ("sun", "Light"),
    "dark": ("moon", "Dark"),
}
"""The choices, each with its icon and name."""
YEAR_S = 365 * 24 * 3600


def routes() -> list[Route]:
    """Return the routes."""
    return [Route("/look", choose)]


def theme_of(request: Request) -> str:
    """Return the chosen `light` or `dark`, "" if the system decides."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


async def choose(request: Request) -> Response:
    """Save the choice and go back to the page on which it was made."""
    answer = RedirectResponse(_place(request.query_params.get("next", "")), 303)
    https = request.url.scheme == "https"
    for cookie, parameter, allowed in (
        (THEME_COOKIE, "theme", tuple(THEMES)),
        (language.COOKIE, "language", tuple(language.NAMES)),
    ):
        chosen = request.query_params.get(parameter)
        if chosen in allowed:
            answer.set_cookie(cookie, str(chosen), max_age=YEAR_S, httponly=True, samesite="lax", secure=https)
    return answer


def _place(asked: str) -> str:
    """Return where to go back to: a path of this site, never another site."""
    parts = urlsplit(asked)
    ours = asked.startswith("/") and not asked.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return asked if ours and asked.isprintable() else "/"

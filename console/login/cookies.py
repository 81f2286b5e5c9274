"""The cookie that a session is known by in a browser: no script reads it, no other site has it sent.

Over https its name begins with `__Host-`, by which browsers take it from nobody but this host, and over https only.
"""

from starlette.requests import HTTPConnection
from starlette.responses import Response

from catalog.records import NewSession

NAME = "imagewright-session"
SECURE = f"__Host-{NAME}"


def session_in(request: HTTPConnection, *, https: bool) -> str:
    """Return what a browser sends as its session, "" for nothing. What could have been set over http is nothing over https."""
    return request.cookies.get(SECURE) or ("" if https else request.cookies.get(NAME, ""))


def keep(answer: Response, session: NewSession, hours: float, *, https: bool) -> None:
    """Have a browser keep a session for as long as it lasts."""
    answer.set_cookie(
        SECURE if https else NAME, session.token, max_age=int(hours * 3600), path="/", secure=https, httponly=True,
        samesite="strict",
    )  # fmt: skip


def forget(answer: Response, *, https: bool) -> None:
    """Have a browser forget its session."""
    for name in (SECURE, NAME) if https else (NAME,):
        answer.delete_cookie(name, path="/", secure=https, httponly=True, samesite="strict")

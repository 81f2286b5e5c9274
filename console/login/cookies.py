"""The cookie of a session: no script can read it, and no other site can have it sent.

Over https its name begins with `__Host-`, so browsers accept it from this host only, and over https only.
"""

from starlette.requests import HTTPConnection
from starlette.responses import Response

from catalog.records import NewSession

NAME = "imagewright-session"
SECURE = f"__Host-{NAME}"


def session_in(request: HTTPConnection, *, https: bool) -> str:
    """Return a browser's session token, "" for none.

    Over https, a cookie that could have been set over http does not count.
    """
    return request.cookies.get(SECURE) or ("" if https else request.cookies.get(NAME, ""))


def keep(answer: Response, session: NewSession, hours: float, *, https: bool) -> None:
    """Set the cookie of a session, for as long as the session lasts."""
    answer.set_cookie(
        SECURE if https else NAME,
        session.token,
        max_age=int(hours * 3600),
        path="/",
        secure=https,
        httponly=True,
        samesite="strict",
    )


def forget(answer: Response, *, https: bool) -> None:
    """Delete the cookie of a session."""
    for name in (SECURE, NAME) if https else (NAME,):
        answer.delete_cookie(name, path="/", secure=https, httponly=True, samesite="strict")

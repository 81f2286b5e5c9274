"""What every request passes: the name it was sent to, the password where one is set, and proof that our own page sent it.

A page of somebody else in the same browser can send forms to loopback. It can't set headers of its own without asking first, and
nobody answers that question; and a name that was rebound to 127.0.0.1 is not one of ours.
"""

import secrets
from base64 import b64decode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OURS = "X-Imagewright"
TUS = "Tus-Resumable"
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware. hosts: names that the console answers to; auth: `user:password`, or empty for none."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], auth: str) -> None:
        self._app, self._hosts, self._auth = app, hosts, auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a sentence, or pass on and add headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        host = _name(headers.get("Host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return _refused(
                421, f"this console does not answer to {host!r}; IMAGEWRIGHT_CONSOLE_HOSTS names what it does"
            )
        if not path.startswith("/download/") and not self._knows(headers.get("Authorization", "")):
            return _refused(401, "give user and password", {"WWW-Authenticate": 'Basic realm="Imagewright"'})
        if method not in SAFE and OURS not in headers and TUS not in headers:
            return _refused(403, f"what changes something has to carry the header {OURS}")
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if not self._auth:
            return True
        try:
            return scheme.lower() == "basic" and secrets.compare_digest(b64decode(given), self._auth.encode())
        except ValueError:  # not base64, or not even ASCII
            return False


def _name(host: str) -> str:
    """Return the host of a Host header without its port."""
    return host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()


def _refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)

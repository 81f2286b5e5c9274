"""Check Host and Origin of every request to Prefect's server before Prefect sees it.

Another site's page in the same browser can reach loopback, and its name can be rebound to 127.0.0.1. Prefect serves any
Host, and its WebSockets check no Origin. Prefect itself, behind this guard, checks the password.
"""

import asyncio
import json
import re
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAFE = ("GET", "HEAD", "OPTIONS")
ANY = "*"
PATIENCE_S = 15.0
FIRST_WORDS = 2  # after the handshake
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:@]*)(?P<port>(?::\d*)?)")
HEADERS = {
    # Prefect's pages need inline styles and blob workers; they load nothing from another host.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware. hosts: host names of the server, `*` for any; patience_s: for a WebSocket's first message."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], patience_s: float = PATIENCE_S) -> None:
        self._app, self._hosts, self._patience_s = app, frozenset(host.lower() for host in hosts), patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a sentence, or pass the request on with headers that forbid the page to call other hosts."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._wrong_name(headers) or self._foreign(headers, scope.get("method", "GET"))
        if refusal:
            await _refuse(scope, receive, send, *refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] == "websocket":
            receive = _hurried(receive, self._patience_s)
        await self._app(scope, receive, send_with_headers)

    def _wrong_name(self, headers: Headers) -> tuple[HTTPStatus, str] | None:
        name = host_name(headers.get("Host", ""))
        if self._ours(name):
            return None
        return (
            HTTPStatus.MISDIRECTED_REQUEST,
            f"this server does not answer to {name!r}; IMAGEWRIGHT_SERVER_HOSTS names what it does",
        )

    def _foreign(self, headers: Headers, method: str) -> tuple[HTTPStatus, str] | None:
        origin = headers.get("Origin")
        if origin is None:
            if method in SAFE or headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
                return None
            return HTTPStatus.FORBIDDEN, "a page of another site may not change anything here"
        sender, here = (
            origin.partition("://")[2],
            headers.get("Host", ""),
        )  # an origin is only scheme, host and port
        if sender.lower() == here.lower():
            return None
        if ANY not in self._hosts and self._ours(host_name(sender)) and _split(sender)[1] == _split(here)[1]:
            return None  # localhost and 127.0.0.1 are one server
        return HTTPStatus.FORBIDDEN, f"pages of {origin[:200]!r} are not served"

    def _ours(self, name: str) -> bool:
        return bool(self._hosts & {ANY, name})


def host_name(host: str) -> str:
    """Return the name in a Host header, lower-case, without its port; an IPv6 address keeps its brackets."""
    return _split(host)[0]


def _split(host: str) -> tuple[str, str]:
    """Return name and port of a Host header, the port with its colon.

    A malformed header is all name, and matches no host.
    """
    found = HOST.fullmatch(host.lower())
    return (found["name"], found["port"]) if found else (host, "")


def _hurried(receive: Receive, patience_s: float) -> Receive:
    """Close a WebSocket whose first message, which has the password, does not come: Prefect would wait forever."""
    heard = 0

    async def receive_in_time() -> Message:
        nonlocal heard
        heard += 1
        if heard != FIRST_WORDS:
            return await receive()
        try:
            return await asyncio.wait_for(receive(), patience_s)
        except TimeoutError:
            return {"type": "websocket.disconnect", "code": 1008}

    return receive_in_time


async def _refuse(scope: Scope, receive: Receive, send: Send, status: HTTPStatus, sentence: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # the handshake, which precedes the first message
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:120]})
        return
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

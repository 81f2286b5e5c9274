"""Check every request: its host name, its visitor, and that our own page sent it.

Another site's page in the same browser can send forms to loopback. But it can't set custom headers without a preflight,
which is never answered; it can't omit its origin; and a name rebound to 127.0.0.1 is not one of our host names.
"""

import secrets
from base64 import b64decode
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import ImagewrightError, SignInLimited
from catalog.records import SignedIn
from catalog.rules.accounts.sharing import ADMIN
from console.entrance.guesses import Guesses
from console.entrance.proxies import Proxies
from console.entrance.visitors import OPERATORS, let_in
from flows.server.guard import host_name

OURS = "X-Imagewright"
TUS = "Tus-Resumable"
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HTTPS_ONLY = "max-age=31536000"

OPEN = ("/download/", "/setup", "/static/", "/login", "/look")
"""Prefixes of paths without sign-in: signed links, the setup link with its token, public style sheets and looks."""
OPERATORS_DOOR = "/operators"
"""The path that asks for the operators' password even if there are persons: the browser then sends it everywhere."""
OF_ADMINISTRATORS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that show all accounts' data; `console/health/access.py` decides who needs no sign-in there."""
BY_TOKEN = ("/api/v1", "/storages", "/f", "/simplestreams")
"""Paths for programs, which prove themselves by a token and by nothing that a browser sends by itself."""


class Persons(Protocol):
    """Persons who sign in by name."""

    async def signed_in(self, request: HTTPConnection) -> SignedIn | None:
        """Return the person of a request's session, None if there is none."""
        ...

    async def are_there(self) -> bool:
        """Tell whether there is any person: while there is none, nobody is sent to the sign-in page."""
        ...

    async def note_limit(self, address: str) -> None:
        """Log that an address has tried too many passwords of the operators."""
        ...


class Nobody:
    """No persons, only the operators."""

    async def signed_in(self, request: HTTPConnection) -> SignedIn | None:  # noqa: ARG002
        """Return nobody."""
        return None

    async def are_there(self) -> bool:
        """Tell that there is none."""
        return False

    async def note_limit(self, address: str) -> None:
        """Log nothing."""


def is_api(path: str) -> bool:
    """Tell whether a path is for programs."""
    return any(path == one or path.startswith(f"{one}/") for one in BY_TOKEN)


class Guard:
    """ASGI middleware. hosts: host names of the console; auth: `user:password` of the operators, "" for none.

    open_to: tells whether a request needs no sign-in. The visitor is recorded in the scope
    (`console.entrance.visitors`).
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: tuple[str, ...],
        auth: str,
        open_to: Callable[[Scope], bool] = lambda _scope: False,
        persons: Persons | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._app, self._hosts, self._auth, self._open_to = app, hosts, auth, open_to
        self._persons, self._proxies, self._guesses = persons or Nobody(), proxies or Proxies(()), Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with a sentence, or pass the request on and add headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        https = self._proxies.is_https(scope)
        scope["scheme"] = "https" if https else "http"  # prefix of addresses in answers

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({**HEADERS, **({"Strict-Transport-Security": HTTPS_ONLY} if https else {})})
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = await self._judged(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    async def _judged(self, scope: Scope, headers: Headers) -> Response | None:
        host = host_name(headers.get("Host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return _refused(
                421, f"this console does not answer to {host!r}; IMAGEWRIGHT_CONSOLE_HOSTS names what it does"
            )
        if is_api(scope["path"]):
            return self._foreign(scope, headers)
        if scope["path"].startswith(OPEN) or self._open_to(scope):
            return self._forged(scope, headers)
        try:
            who = await self._visitor(HTTPConnection(scope), headers)
            return await self._unwelcome(scope, headers, who) or self._forged(scope, headers)
        except SignInLimited as error:
            return _refused(429, str(error), {"Retry-After": str(error.retry_after_s)})
        except ImagewrightError:  # it would name what is behind us, and the visitor is not known yet
            return _refused(503, "the catalog is unavailable: nobody can be known; try again")

    async def _visitor(self, request: HTTPConnection, headers: Headers) -> SignedIn | None:
        """Return the visitor and record them; None if unknown. Raises SignInLimited."""
        who = await self._persons.signed_in(request)  # first, as a browser keeps sending a password that was once typed
        who = who or await self._operators(request, headers.get("Authorization", ""))
        if who is None and not self._auth and not await self._persons.are_there():
            who = OPERATORS  # there is no credential to ask for
        if who is not None:
            let_in(request.scope, who)
        return who

    async def _operators(self, request: HTTPConnection, authorization: str) -> SignedIn | None:
        scheme, _, given = authorization.partition(" ")
        if not self._auth or scheme.lower() != "basic":
            return None
        address = self._proxies.address_of(request)
        self._guesses.check(address)
        if self._is_right(given):
            return OPERATORS
        if self._guesses.note(address, given):
            await self._persons.note_limit(address)
        return None

    def _is_right(self, given: str) -> bool:
        try:
            return secrets.compare_digest(b64decode(given), self._auth.encode())
        except ValueError:  # not base64, or not even ASCII
            return False

    async def _unwelcome(self, scope: Scope, headers: Headers, who: SignedIn | None) -> Response | None:
        """Ask an unknown visitor to sign in, and refuse one who may not come here."""
        if who is None:
            return await self._asked(scope, headers)
        if scope["path"] in OF_ADMINISTRATORS and who.identity.role != ADMIN:
            return _refused(403, f"{who.identity.name!r} may not ask for {scope['path']}: the role admin is needed")
        return None

    async def _asked(self, scope: Scope, headers: Headers) -> Response:
        """Send persons to the sign-in page; ask programs, or anyone while there are none, for the operators' password."""
        there = await self._persons.are_there()
        by_page = "Sec-Fetch-Mode" in headers or OURS in headers or TUS in headers
        if there and scope["path"] != OPERATORS_DOOR:
            if scope["method"] == "GET" and "text/html" in headers.get("Accept", ""):
                return RedirectResponse(f"/login?next={quote(_place(scope), safe='')}", HTTPStatus.SEE_OTHER)
            if by_page:  # else the browser would ask the person for a password that they don't have
                return _refused(401, "sign in again: this session is over")
        challenge = {"WWW-Authenticate": 'Basic realm="Imagewright"'} if self._auth else {}
        return _refused(401, "give user and password", challenge)

    def _forged(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse changes that were sent neither by our own page nor by a program."""
        if scope["method"] in SAFE:
            return None
        if OURS not in headers and TUS not in headers:
            return _refused(403, f"what changes something has to carry the header {OURS}")
        if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return _refused(403, "a page of another site may not change anything here")
        return self._foreign(scope, headers)

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse requests from a page of another origin, which must learn nothing by trying."""
        origin = headers.get("Origin")
        if origin is None or origin.partition("://")[2].lower() == self._proxies.host_of(scope).lower():
            return None
        return _refused(403, "pages of other origins are not served")


def _place(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)

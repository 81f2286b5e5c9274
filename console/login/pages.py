"""Sign-in and sign-out with a browser: a page, a session on the server, a cookie."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, InvalidRequest, NotSignedIn, SignInFailed, SignInLimited
from catalog.records import NewSession
from catalog.repository.identities.sign_in import sign_in, sign_out, signed_in
from catalog.settings import Settings
from console.entrance.bodies import body_of
from console.entrance.proxies import Proxies
from console.entrance.visitors import opened
from console.login.cookies import forget, keep, session_in
from console.look.templates import TEMPLATES
from console.security import OPERATORS_DOOR
from console.thread_pools import TookTooLong, catalogs, passwords
from flows.requests.identities import SignIn

MAX_BODY = 16 << 10
STATUSES: Mapping[type[ImagewrightError], int] = {SignInFailed: 401, SignInLimited: 429, TookTooLong: 503}
START = "/"


class SignInPages:
    """The endpoints. oidc: name of the sign-in by an OpenID provider, "" if there is none."""

    def __init__(self, settings: Settings, proxies: Proxies, oidc: str = "") -> None:
        self._settings, self._proxies, self._oidc = settings, proxies, oidc

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/login", self.page),
            Route("/login", self.enter, methods=["POST"]),
            Route("/logout", self.leave, methods=["POST"]),
            Route(OPERATORS_DOOR, self.operators),
        ]

    async def page(self, request: Request) -> Response:
        """Show the sign-in page. next: where to go afterwards, a path of this site."""
        shown = {"next": place_of(request.query_params.get("next", "")), "oidc": self._oidc}
        return TEMPLATES.TemplateResponse(request, "login.html", shown)

    async def operators(self, _request: Request) -> Response:
        """Redirect visitors who gave the guard the operators' password: the browser sends it from now on."""
        return RedirectResponse(START, 303)

    async def enter(self, request: Request) -> Response:
        """Begin a session: 204 with its cookie, 401, or 429 with the seconds to wait."""
        try:
            asked = SignIn.model_validate_json(await body_of(request, MAX_BODY))
            session = await passwords(self._begun, asked, self._proxies.address_of(request))
        except ValidationError:  # its message would repeat the input
            return JSONResponse({"error": "name and password have to be given, at most 256 and 4096 characters"}, 422)
        except InvalidRequest as error:
            return JSONResponse({"error": str(error)}, 422)
        except (SignInFailed, SignInLimited, TookTooLong) as error:
            return _refused(error)
        await self._end_former(request)
        answer = Response(status_code=204)
        keep(answer, session, self._settings.session_hours, https=self._is_https(request))
        return answer

    def _begun(self, asked: SignIn, address: str) -> NewSession:
        with opened(self._settings) as catalog:
            return sign_in(
                catalog, asked.name, asked.password.get_secret_value(), address, self._settings.session_hours
            )

    async def leave(self, request: Request) -> Response:
        """End the session, on the server and in the browser."""
        await self._end_former(request)
        answer = Response(status_code=204)
        forget(answer, https=self._is_https(request))
        answer.headers["Clear-Site-Data"] = '"cache"'
        return answer

    async def _end_former(self, request: Request) -> None:
        """End a browser's previous session, if any."""
        if token := session_in(request, https=self._is_https(request)):
            await catalogs(self._ended, token)

    def _ended(self, token: str) -> None:
        with opened(self._settings) as catalog:
            try:
                who = signed_in(catalog, token)
            except NotSignedIn:
                return
        with opened(self._settings, who) as catalog:
            sign_out(catalog, who)

    def _is_https(self, request: Request) -> bool:
        return self._proxies.is_https(request.scope)


def _refused(error: ImagewrightError) -> Response:
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, SignInLimited) else {}
    return JSONResponse({"error": str(error)}, STATUSES[type(error)], headers)


def place_of(asked: str) -> str:
    """Return where to go after the sign-in: always a path of this site."""
    try:
        parts = urlsplit(asked)
    except ValueError:
        return START
    plain = asked.startswith("/") and not asked.startswith("//") and "\\" not in asked and asked.isprintable()
    return asked if plain and not parts.scheme and not parts.netloc else START

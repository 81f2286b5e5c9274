"""Sign-in with a browser at an OpenID provider's page: the way there and back.

The answer is bound to the browser that started the sign-in, by a cookie that is valid for ten minutes.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, NoSuchSignIn, TooManyRequests
from catalog.settings import Settings
from console.entrance.proxies import Proxies
from console.entrance.rates import Rates
from console.login.cookies import keep
from console.login.pages import place_of
from console.look.templates import TEMPLATES
from console.oidc.signing_in import BROWSER_S, OidcSignIn

PATH = "/login/oidc"
BACK = f"{PATH}/callback"
COOKIE = "imagewright-oidc"
PER_MINUTE = 60
"""Requests of an address to go there or come back: each may make us ask the provider."""
STATUSES: Mapping[type[ImagewrightError], int] = {NoSuchSignIn: 404, TooManyRequests: 429}


class OidcPages:
    """The endpoints of the browser."""

    def __init__(self, settings: Settings, proxies: Proxies, oidc: OidcSignIn) -> None:
        self._settings, self._proxies, self._oidc = settings, proxies, oidc
        self._rates = Rates(PER_MINUTE)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(PATH, self.go), Route(BACK, self.back)]

    async def go(self, request: Request) -> Response:
        """Redirect a browser to the provider. next: where it goes afterwards, a path of this site."""
        https = self._proxies.is_https(request.scope)
        place = f"{'https' if https else 'http'}://{self._proxies.host_of(request.scope)}{BACK}"
        try:
            self._rates.take(self._proxies.address_of(request))
            begun = await self._oidc.begin(place, place_of(request.query_params.get("next", "")))
        except ImagewrightError as error:
            return _told(request, error)
        answer = RedirectResponse(begun.url, 303)
        # Lax: the provider's page is another site, and its redirect back must send this cookie.
        answer.set_cookie(COOKIE, begun.kept, max_age=BROWSER_S, path=PATH, secure=https, httponly=True, samesite="lax")
        return answer

    async def back(self, request: Request) -> Response:
        """Begin the session of a person whom the provider has identified.

        It answers with a page that moves on by itself: the session's cookie is not sent with requests that another site
        began, and a redirect would still count as one.
        """
        said = {name: request.query_params[name] for name in ("state", "code", "iss") if name in request.query_params}
        try:
            self._rates.take(self._proxies.address_of(request))
            session, then = await self._oidc.end(
                request.cookies.get(COOKIE, ""), said, self._proxies.address_of(request)
            )
        except ImagewrightError as error:
            return _told(request, error)
        answer = TEMPLATES.TemplateResponse(request, "signed_in.html", {"next": then})
        https = self._proxies.is_https(request.scope)
        answer.delete_cookie(COOKIE, path=PATH, secure=https, httponly=True, samesite="lax")
        keep(answer, session, self._settings.session_hours, https=https)
        return answer


def _told(request: Request, error: ImagewrightError) -> Response:
    status = next(
        (status for kind, status in STATUSES.items() if isinstance(error, kind)), 503 if error.retryable else 401
    )
    answer = TEMPLATES.TemplateResponse(request, "signed_in.html", {"trouble": str(error)}, status)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer

"""Sign-in by an OpenID provider: send the browser there, and take the answer that comes back."""

import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from authlib.common.security import generate_token

from catalog.errors import InvalidRequest, NoSuchSignIn, ProviderUnavailable, SignInRefused
from catalog.records import DeviceCode, Door, NewSession, Record
from catalog.repository.identities.foreign import sign_in_proven
from catalog.settings import Settings
from console.entrance.sealing import Seal, installation_key
from console.entrance.visitors import opened
from console.oidc.claims import WHAT, person_in
from console.oidc.groups import place_for, places_of
from console.oidc.provider import Provider
from console.thread_pools import catalogs

BROWSER_S = 600
"""How long a person may take at the provider's page."""
TOKENS = "token_endpoint"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
PENDING = ("authorization_pending", "slow_down")


class Begun(Record):
    """A sign-in that continues at the provider. url: of its page; kept: sealed state that the browser brings back."""

    url: str
    kept: str


class OidcSignIn:
    """Sign-ins at the provider in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._places = settings, places_of(settings.oidc_groups)
        self._provider = Provider(settings) if settings.oidc_issuer else None
        self._known_key = b""

    @property
    def title(self) -> str:
        """The text of its button, "" if there is none."""
        host = urlsplit(self._settings.oidc_issuer).hostname or ""
        return (self._settings.oidc_title or host) if self._provider else ""

    async def begin(self, redirect_uri: str, then: str) -> Begun:
        """Begin a sign-in with a browser. then: where it goes afterwards. Raises ProviderUnavailable, NoSuchSignIn."""
        provider = self._there("a provider's page")
        state, nonce, verifier = generate_token(32), secrets.token_urlsafe(32), generate_token(64)
        url = await provider.page(redirect_uri, state, nonce, verifier)
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "then": then, "redirect_uri": redirect_uri}
        return Begun(url=url, kept=(await self._seal("browser")).write(kept, time.time() + BROWSER_S))

    async def end(self, kept: str, said: Mapping[str, str], address: str) -> tuple[NewSession, str]:
        """Return the session of a person who came back, and where to go. Raises SignInRefused, ProviderUnavailable."""
        provider, known = self._there("a provider's page"), (await self._seal("browser")).read(kept)
        if known is None or not hmac.compare_digest(said.get("state", "").encode(), known["state"].encode()):
            raise SignInRefused(WHAT, "it was not begun in this browser, or took too long")
        if said.get("iss", provider.issuer) != provider.issuer:
            raise SignInRefused(WHAT, "another provider answered")
        if "code" not in said:
            raise SignInRefused(WHAT, "the provider let nobody in")
        token = await provider.told(
            TOKENS,
            grant_type="authorization_code",
            code=said["code"],
            code_verifier=known["verifier"],
            redirect_uri=known["redirect_uri"],
        )
        claims = await provider.claims_in(_granted(token, provider.issuer), known["nonce"])
        return await self._session(claims, address, "console"), known["then"]

    async def begin_device(self) -> DeviceCode:
        """Have the provider issue a code that a person types at its page. Raises ProviderUnavailable, NoSuchSignIn."""
        provider = self._there("a device code")
        said = await provider.told("device_authorization_endpoint", scope=self._settings.oidc_scopes)
        try:
            seconds = int(str(said.get("expires_in", 600)))
            sealed = (await self._seal("device")).write({"code": str(said["device_code"])}, time.time() + seconds)
            return DeviceCode.model_validate({**_told(said), "device": sealed, "expires_in": seconds})
        except (KeyError, ValueError) as error:
            raise ProviderUnavailable(provider.issuer, "it makes no device code for us") from error

    async def end_device(self, device: str, address: str) -> NewSession | None:
        """Return the session of the person who typed a code, None if nobody has yet.

        Raises SignInRefused, ProviderUnavailable.
        """
        provider, known = self._there("a device code"), (await self._seal("device")).read(device)
        if known is None:
            raise SignInRefused(WHAT, "this code has expired, or was not made here")
        said = await provider.told(TOKENS, grant_type=DEVICE, device_code=known["code"])
        if said.get("error") in PENDING:
            return None
        return await self._session(await provider.claims_in(_granted(said, provider.issuer)), address, "API")

    def _there(self, way: str) -> Provider:
        if self._provider is None:
            raise NoSuchSignIn(way)
        return self._provider

    async def _session(self, claims: Mapping[str, object], address: str, door: Door) -> NewSession:
        settings = self._settings
        person = person_in(claims, settings.oidc_name_claim, settings.oidc_groups_claim)
        place = place_for(self._places, person.groups)

        def begun() -> NewSession:
            with opened(settings, None, door) as catalog:
                if place is None:
                    return sign_in_proven(catalog, person.name, person.proof, None, address, settings.session_hours)
                belongs = {"account": place.account, "role": place.role, "projects": place.projects}
                return sign_in_proven(catalog, person.name, person.proof, belongs, address, settings.session_hours)

        try:
            return await catalogs(begun)
        except InvalidRequest as error:
            raise SignInRefused(WHAT, str(error)) from error

    async def _seal(self, about: str) -> Seal:
        self._known_key = self._known_key or await catalogs(installation_key, self._settings)
        return Seal(hmac.digest(self._known_key, f"oidc {about}".encode(), "sha256"), about.encode())


def _granted(said: Mapping[str, object], issuer: str) -> Mapping[str, object]:
    """Return an answer if it grants access.

    Raises SignInRefused, ProviderUnavailable if the provider does not know us.
    """
    if said.get("error") in ("invalid_client", "unauthorized_client"):
        raise ProviderUnavailable(issuer, "it does not take our client id and secret")
    if "error" in said:
        raise SignInRefused(
            WHAT, "the provider lets nobody in with this code: it was used, has expired, or is not ours"
        )
    return said


def _told(said: Mapping[str, object]) -> dict[str, object]:
    return {name: said[name] for name in DeviceCode.model_fields if name in said and name != "device"}

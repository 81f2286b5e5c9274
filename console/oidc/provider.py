"""The OpenID provider: its endpoints, its signing keys, and its answers."""

import json
import time
from collections.abc import Mapping
from json import JSONDecodeError
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.client import OAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from catalog.errors import InvalidRequest, NoSuchSignIn, ProviderUnavailable, SignInRefused
from catalog.settings import Settings
from console.oidc.claims import WHAT, Expected, verified
from storage.sources.network.wire import tls_context

FRESH_S, ANSWER_S = 3600.0, 10.0
SOONEST_S = 60.0
"""Shortest time between two fetches of keys, however many tokens name an unknown one."""
MOST_BYTES = 1 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DISCOVERY = "/.well-known/openid-configuration"


class Provider:
    """The provider in the settings. Raises InvalidRequest if its address can't be trusted."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.issuer = settings, settings.oidc_issuer
        self._facts: Mapping[str, object] = {}
        self._keys, self._facts_at, self._keys_at = KeySet([]), -FRESH_S, -FRESH_S
        if not _is_private(self.issuer):
            raise InvalidRequest("IMAGEWRIGHT_OIDC_ISSUER", self.issuer, "an https:// URL: its keys are fetched there")
        if not settings.oidc_client_id:
            raise InvalidRequest("IMAGEWRIGHT_OIDC_CLIENT_ID", "", "the name by which the provider knows us")

    async def page(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return the address of the provider's page for one sign-in, with PKCE by SHA-256.

        Raises ProviderUnavailable, NoSuchSignIn.
        """
        client = OAuth2Client(
            None,
            self._settings.oidc_client_id,
            redirect_uri=redirect_uri,
            scope=self._settings.oidc_scopes,
            code_challenge_method="S256",
        )
        address = await self.endpoint("authorization_endpoint")
        url, _ = client.create_authorization_url(address, state=state, code_verifier=verifier, nonce=nonce)
        return str(url)

    async def endpoint(self, name: str) -> str:
        """Return an endpoint's address. Raises ProviderUnavailable, NoSuchSignIn if the provider does not have it."""
        found = (await self._known()).get(name)
        if not isinstance(found, str):
            raise NoSuchSignIn(name.removesuffix("_endpoint").replace("_", " "))
        if not _is_private(found):
            raise ProviderUnavailable(self.issuer, f"its {name} is no https:// URL")
        return found

    async def claims_in(self, token: object, nonce: str | None = None) -> Mapping[str, object]:
        """Return the claims of the ID token in an answer. Raises SignInRefused, ProviderUnavailable."""
        text = token.get("id_token") if isinstance(token, Mapping) else None
        if not isinstance(text, str):
            raise SignInRefused(WHAT, "it brought no ID token")
        expected = Expected(self.issuer, self._settings.oidc_client_id, nonce)
        await self._renew_keys(FRESH_S)
        try:
            return verified(text, self._keys, expected)
        except SignInRefused:  # the provider may sign with a new key
            if not await self._renew_keys(SOONEST_S):
                raise
            return verified(text, self._keys, expected)

    async def told(self, endpoint: str, **form: str) -> Mapping[str, object]:
        """Return an endpoint's answer, OAuth errors included. Raises ProviderUnavailable, NoSuchSignIn."""
        secret, name = self._settings.oidc_client_secret, self._settings.oidc_client_id
        url = await self.endpoint(endpoint)
        if secret is None:
            return await self._asked("POST", url, {**form, "client_id": name})
        return await self._asked("POST", url, form, httpx.BasicAuth(quote(name), quote(secret.get_secret_value())))

    async def _known(self) -> Mapping[str, object]:
        """Return the provider's metadata. Raises ProviderUnavailable, also if they name another issuer."""
        if not self._facts or time.monotonic() - self._facts_at > FRESH_S:
            facts = await self._asked("GET", self.issuer.rstrip("/") + DISCOVERY)
            if facts.get("issuer") != self.issuer:
                raise ProviderUnavailable(self.issuer, f"it says to be {_word(facts.get('issuer'))}")
            self._facts, self._facts_at = facts, time.monotonic()
        return self._facts

    async def _renew_keys(self, older_than_s: float) -> bool:
        """Fetch the provider's keys if the known ones are old enough; tell whether they were."""
        if time.monotonic() - self._keys_at < older_than_s:
            return False
        found = await self._asked("GET", await self.endpoint("jwks_uri"))
        try:
            self._keys = KeySet.import_key_set(found)  # type: ignore[arg-type]  # its form is what is tried
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderUnavailable(self.issuer, "its keys are not readable") from error
        self._keys_at = time.monotonic()
        return True

    async def _asked(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: httpx.BasicAuth | None = None
    ) -> dict[str, object]:
        """Return the JSON object of an answer. Raises ProviderUnavailable."""
        verify, accept = tls_context(self._settings.ca_file), {"Accept": "application/json"}
        try:
            async with (
                httpx.AsyncClient(verify=verify, timeout=ANSWER_S, trust_env=False, auth=auth) as client,
                client.stream(method, url, data=form, headers=accept) as answer,
            ):
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise ValueError("its answer is too long")
            found = json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise ProviderUnavailable(self.issuer, _reason(error)) from error
        if not isinstance(found, dict):
            raise ProviderUnavailable(self.issuer, "its answer is no JSON object")
        return found


def _is_private(url: str) -> bool:
    """Tell whether requests to an address can't be read or changed on the way."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _reason(error: Exception) -> str:
    return "its answer is no JSON" if isinstance(error, JSONDecodeError) else (str(error)[:120] or type(error).__name__)


def _word(said: object) -> str:
    """Return a text of the provider, made safe to show."""
    return "".join(c if c.isprintable() else " " for c in str(said))[:80]

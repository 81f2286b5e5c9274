"""Identify the caller by each request's bearer token, never by anything that a browser sends by itself."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from catalog.errors import NotSignedIn
from catalog.records import Door, SignedIn
from catalog.repository.identities.sign_in import signed_in
from catalog.settings import Settings
from console.entrance import visitors
from console.entrance.proxies import Proxies
from console.entrance.rates import Rates
from console.thread_pools import catalogs

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

BEARER = HTTPBearer(auto_error=False, description="A token of `imagewright token create`, or a session's token.")
DOOR: Door = "API"


def settings_of(request: Request) -> Settings:
    """Return the service's settings."""
    settings: Settings = request.app.state.settings
    return settings


Here = Annotated[Settings, Depends(settings_of)]


def address_of(request: Request) -> str:
    """Return a request's client address, by which sign-ins are limited."""
    proxies: Proxies = request.app.state.proxies
    return proxies.address_of(request)


def opened(settings: Settings, who: SignedIn | None = None) -> "AbstractContextManager[Catalog]":
    """Open the catalog on behalf of the caller."""
    return visitors.opened(settings, who, DOOR)


async def who_asks(
    request: Request, settings: Here, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
) -> SignedIn:
    """Return the caller. Raises NotSignedIn."""
    if given is None or len(request.headers.getlist("Authorization")) != 1:
        raise NotSignedIn
    who = await known(settings, given.credentials)
    rates: Rates = request.app.state.rates
    rates.take(who.identity.name)
    return who


async def known(settings: Settings, token: str) -> SignedIn:
    """Return the identity of a token. Raises NotSignedIn."""
    return await catalogs(_known, settings, token)


Who = Annotated[SignedIn, Depends(who_asks)]


def _known(settings: Settings, token: str) -> SignedIn:
    with opened(settings) as catalog:
        return signed_in(catalog, token)

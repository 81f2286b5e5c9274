"""Who comes through the console's door: a person by their session, or the operators by the password of Prefect's API."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.types import Scope

from catalog import open_catalog
from catalog.errors import NotSignedIn
from catalog.records import Door, Identity, SignedIn
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import Settings
from tasks.runtime.runs.acting import Caller

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

DOOR: Door = "console"
KEY = "imagewright.visitor"
"""Where an ASGI scope holds who comes."""
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
OPERATORS = SignedIn(
    identity=Identity(
        name="operators", kind="robot", account=ADMIN, role="admin", created_at=ALWAYS, updated_at=ALWAYS
    ),
    proof="password:operators",
)
"""Whoever has the password of Prefect's API may do everything there, and so here. No row of the catalog is theirs."""


def is_operator(who: SignedIn) -> bool:
    """Tell whether somebody came by the password of the operators; a person may have their name."""
    return who.proof == OPERATORS.proof


def let_in(scope: Scope, who: SignedIn) -> None:
    """Note who a request comes from."""
    scope[KEY] = who


def visitor_of(request: HTTPConnection) -> SignedIn:
    """Return who a request comes from. Raises NotSignedIn where nobody looked: no route is open by being forgotten."""
    who = request.scope.get(KEY)
    if not isinstance(who, SignedIn):
        raise NotSignedIn
    return who


def named_visitor(request: HTTPConnection) -> SignedIn | None:
    """Return the person that a page greets, None for the operators and on pages that ask for no sign-in."""
    who = request.scope.get(KEY)
    return who if isinstance(who, SignedIn) and not is_operator(who) else None


def caller_of(who: SignedIn) -> Caller:
    """Return on whose behalf a run is begun here."""
    return Caller(None if is_operator(who) else who.identity.name, DOOR)


@contextmanager
def opened(settings: Settings, who: SignedIn | None = None, door: Door = DOOR) -> "Iterator[Catalog]":
    """Open the catalog on behalf of whoever asks, by a door."""
    name = None if who is None or is_operator(who) else who.identity.name
    with open_catalog(settings.catalog_address) as catalog:
        yield catalog.on_behalf_of(name, door)

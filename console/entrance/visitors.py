"""Visitors of the console: a person with a session, or the operators with the password of Prefect's API."""

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
"""Key of the visitor in an ASGI scope."""
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
OPERATORS = SignedIn(
    identity=Identity(
        name="operators", kind="robot", account=ADMIN, role="admin", created_at=ALWAYS, updated_at=ALWAYS
    ),
    proof="password:operators",
)
"""Anyone with the password of Prefect's API may do everything there, and so here. They have no row in the catalog."""


def is_operator(who: SignedIn) -> bool:
    """Tell whether a visitor used the operators' password; a person may have the same name."""
    return who.proof == OPERATORS.proof


def let_in(scope: Scope, who: SignedIn) -> None:
    """Record a request's visitor in its scope."""
    scope[KEY] = who


def visitor_of(request: HTTPConnection) -> SignedIn:
    """Return a request's visitor. Raises NotSignedIn if none is recorded, so that no route is open by mistake."""
    who = request.scope.get(KEY)
    if not isinstance(who, SignedIn):
        raise NotSignedIn
    return who


def named_visitor(request: HTTPConnection) -> SignedIn | None:
    """Return the person whose name a page shows, None for the operators and on pages without sign-in."""
    who = request.scope.get(KEY)
    return who if isinstance(who, SignedIn) and not is_operator(who) else None


def caller_of(who: SignedIn) -> Caller:
    """Return the caller on whose behalf a run is started here."""
    return Caller(None if is_operator(who) else who.identity.name, DOOR)


@contextmanager
def opened(settings: Settings, who: SignedIn | None = None, door: Door = DOOR) -> "Iterator[Catalog]":
    """Open the catalog on behalf of a visitor who came by a door."""
    name = None if who is None or is_operator(who) else who.identity.name
    with open_catalog(settings.catalog_address) as catalog:
        yield catalog.on_behalf_of(name, door)

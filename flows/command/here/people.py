"""Persons, robots and tokens of this host's own catalog, changed by whoever may read its home."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from catalog import open_catalog
from catalog.records import Identity, IdentityKind, ListedToken, NewToken, Role, Scope, Token
from catalog.repository.identities import registering
from catalog.rules.accounts.sharing import ADMIN
from tasks.runtime.runs.acting import terminal

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


@contextmanager
def people_here() -> "Iterator[CatalogPeople]":
    """Open the catalog on behalf of the user of the terminal."""
    who = terminal()
    with open_catalog() as catalog:
        yield CatalogPeople(catalog.on_behalf_of(who.identity, who.door), who.identity or "")


class CatalogPeople:
    """What administrators do about identities and tokens, in an open catalog. who: makes tokens, for the record."""

    def __init__(self, catalog: "Catalog", who: str) -> None:
        self._catalog, self._who = catalog, who

    def identities(self) -> Iterable[Identity]:
        """List persons and robots."""
        return self._catalog.identities()

    def add_identity(
        self,
        name: str,
        account: str,
        *,
        role: Role = "viewer",
        projects: tuple[str, ...] = (),
        kind: IdentityKind = "person",
        password: str | None = None,
    ) -> Identity:
        """Add a person or robot."""
        return registering.add(
            self._catalog, ADMIN, name, account, role=role, projects=projects, kind=kind, password=password
        )

    def change_identity(self, name: str, changes: Mapping[str, object], password: str | None = None) -> Identity:
        """Change a person or robot; what is not given stays."""
        return registering.change(self._catalog, ADMIN, name, dict(changes), password)

    def tokens(self, identity: str | None = None) -> Iterable[ListedToken]:
        """List tokens, newest first."""
        return self._catalog.tokens(identity)

    def create_token(self, identity: str, scope: Scope, expires_at: datetime | None, name: str = "") -> NewToken:
        """Make a token. It is shown this once. name: what it is for."""
        return registering.create_token(self._catalog, ADMIN, self._who, identity, scope, expires_at, name)

    def revoke_token(self, token_id: str) -> Token:
        """Revoke a token."""
        return registering.revoke_token(self._catalog, ADMIN, token_id)

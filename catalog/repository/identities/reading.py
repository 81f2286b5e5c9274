"""Read identities, their tokens, and their credentials, which only `sign_in` uses."""

from collections.abc import Iterator

from catalog.errors import IdentityNotFound, TokenNotFound
from catalog.records import Attempts, Identity, ListedToken, Password, Session, Token, TokenSecret
from catalog.store import record_kinds
from catalog.store.listing import Listing, where


class IdentityReading(Listing):
    """Reads persons, robots and tokens."""

    def identities(self) -> Iterator[Identity]:
        """List persons and robots by name."""
        return self._all(record_kinds.IDENTITY)

    def identity(self, name: str) -> Identity:
        """Return a person or robot. Raises IdentityNotFound."""
        return self._need(record_kinds.IDENTITY, name, IdentityNotFound)

    def has_person(self) -> bool:
        """Tell whether there is any person; then the one-time link is closed."""
        return any(identity.kind == "person" for identity in self.identities())

    def tokens(self, identity: str | None = None) -> Iterator[ListedToken]:
        """List tokens of one identity or all, newest first."""
        return map(self._listed, self._all(record_kinds.TOKEN, where(identity=identity)))

    def token(self, token_id: str) -> ListedToken:
        """Return one token. Raises TokenNotFound."""
        return self._listed(self._need(record_kinds.TOKEN, token_id, TokenNotFound))

    def password_of(self, name: str) -> Password | None:
        """Return a person's password hash, None if there is none."""
        return self._get(record_kinds.PASSWORD, name)

    def token_secret(self, token_id: str) -> TokenSecret | None:
        """Return the digest of a token's secret, None if there is none."""
        return self._get(record_kinds.TOKEN_SECRET, token_id)

    def session(self, session_id: str) -> Session | None:
        """Return a session, None if there is none."""
        return self._get(record_kinds.SESSION, session_id)

    def attempts(self, subject: str) -> Attempts | None:
        """Return the sign-in attempts of a subject, None if there were none."""
        return self._get(record_kinds.ATTEMPTS, subject)

    def _listed(self, token: Token) -> ListedToken:
        secret = self._get(record_kinds.TOKEN_SECRET, token.id)
        return ListedToken(**dict(token), last_used_at=secret.last_used_at if secret else None)

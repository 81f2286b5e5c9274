"""Change identities, tokens and sessions. Every change is logged, credentials never."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from catalog.errors import IdentityExists, LastAdministrator
from catalog.log import events
from catalog.records import Attempts, Identity, Password, Record, SeenFrom, Session, Token, TokenSecret
from catalog.repository.writing import Writing
from catalog.rules.accounts.roles import check_identity
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.accounts.sign_in import is_old
from catalog.store import record_kinds
from catalog.store.listing import where
from catalog.store.record_kinds import RecordKind

SWEPT = 20
"""Rows of attempts checked for age with each new one. Their names are hashes, so in time every row is checked."""


class IdentityChanges(Writing):
    """Changes of persons, robots, their tokens and sessions."""

    def add_identity(self, identity: Identity, password_hash: str | None = None) -> Identity:
        """Add a person or robot. Raises IdentityExists, InvalidRequest."""
        check_identity(identity)
        if self._transaction.get(record_kinds.IDENTITY, (identity.name,)) is not None:
            raise IdentityExists(identity.name)
        added = identity.model_copy(update={"created_at": self._clock(), "updated_at": self._clock()})
        self._save(record_kinds.IDENTITY, added, events.IDENTITY_ADDED)
        if password_hash is not None:
            self.keep_password(added.name, password_hash)
        return added

    def change_identity(self, name: str, changes: Mapping[str, object], password_hash: str | None = None) -> Identity:
        """Change some fields, the password or both. A new password ends the identity's sessions, as does disabling it.

        Raises IdentityNotFound, LastAdministrator, InvalidRequest.
        """
        before = self.identity(name)
        after = before.model_copy(update={**changes, "updated_at": self._clock()})
        check_identity(after)
        if _administers(before) and not _administers(after) and not any(self._others_who_administer(name)):
            raise LastAdministrator(name)
        if changes:
            disabled = after.disabled and not before.disabled
            self._save(record_kinds.IDENTITY, after, events.IDENTITY_DISABLED if disabled else events.IDENTITY_CHANGED)
        if password_hash is not None:
            self.keep_password(name, password_hash)
            self._log(events.IDENTITY_PASSWORD_CHANGED, f"identity:{name}", None, None, note=True)
        if password_hash is not None or after.disabled:
            self.end_sessions(name)
        return after

    def _others_who_administer(self, name: str) -> list[Identity]:
        return [one for one in self.identities() if one.name != name and _administers(one)]

    def keep_password(self, name: str, password_hash: str) -> None:
        """Store the hash of a password, without a log entry."""
        kept = Password(identity=name, hash=password_hash, changed_at=self._clock())
        self._keep(record_kinds.PASSWORD, kept)

    def add_token(self, token: Token, digest: str) -> Token:
        """Add a token of an existing identity. Raises IdentityNotFound."""
        self.identity(token.identity)
        added = token.model_copy(update={"created_at": self._clock()})
        self._save(record_kinds.TOKEN, added, events.TOKEN_CREATED)
        self._keep(record_kinds.TOKEN_SECRET, TokenSecret(token_id=added.id, digest=digest))
        return added

    def revoke_token(self, token_id: str) -> Token:
        """Revoke a token, which is refused from now on. A no-op for a revoked one. Raises TokenNotFound."""
        known = self.token(token_id)
        token = Token(**{name: getattr(known, name) for name in Token.model_fields})
        if token.revoked_at is None:
            token = token.model_copy(update={"revoked_at": self._clock()})
            self._save(record_kinds.TOKEN, token, events.TOKEN_REVOKED)
        return token

    def act_as(self, identity: str) -> None:
        """Log what follows in this change as done by this identity, which was proven."""
        self._by = self._by._replace(identity=identity)

    def begin_session(self, session: Session, address: str) -> None:
        """Store a session; remove expired ones."""
        for old in tuple(self._all(record_kinds.SESSION)):
            if old.expires_at <= session.created_at:
                self._transaction.delete(record_kinds.SESSION, (old.id,))
        self._transaction.insert(record_kinds.SESSION, session)
        self.note_sign_in(events.IDENTITY_SIGNED_IN, session.identity, address)

    def end_session(self, session_id: str) -> None:
        """Remove a session; a no-op if there is none."""
        session = self._transaction.get(record_kinds.SESSION, (session_id,))
        if session is not None:
            self._transaction.delete(record_kinds.SESSION, (session_id,))
            self._log(events.IDENTITY_SIGNED_OUT, f"identity:{session.identity}", None, None, note=True)

    def end_sessions(self, identity: str) -> None:
        """Remove all sessions of an identity."""
        for session in tuple(self._all(record_kinds.SESSION, where(identity=identity))):
            self._transaction.delete(record_kinds.SESSION, (session.id,))

    def note_sign_in(self, event: str, identity: str, address: str) -> None:
        """Log a sign-in or a refused attempt. identity: empty if nobody has the name."""
        self._log(event, f"identity:{identity}", None, SeenFrom(address=address), note=True)

    def note_use(self, token_id: str, at: datetime) -> None:
        """Store when a token was last used."""
        secret = self._transaction.get(record_kinds.TOKEN_SECRET, (token_id,))
        if secret is not None:
            self._keep(record_kinds.TOKEN_SECRET, secret.model_copy(update={"last_used_at": at}))

    def keep_attempts(self, attempts: Attempts) -> None:
        """Store a count of sign-in attempts; remove some of the following rows that no longer count."""
        if self.attempts(attempts.subject) is None:
            for old in tuple(islice(self._all(record_kinds.ATTEMPTS, after=(attempts.subject,)), SWEPT)):
                if is_old(old, attempts.since):
                    self._transaction.delete(record_kinds.ATTEMPTS, (old.subject,))
        self._keep(record_kinds.ATTEMPTS, attempts)

    def forget_attempts(self, subjects: Mapping[str, str]) -> None:
        """Remove the attempts counted before a successful sign-in; its address keeps those of other names."""
        for kind, subject in subjects.items():
            known = self.attempts(subject)
            if known is not None and kind == "address" and known.count > 1:
                self._keep(record_kinds.ATTEMPTS, known.model_copy(update={"count": known.count - 1}))
            elif known is not None:
                self._transaction.delete(record_kinds.ATTEMPTS, (subject,))

    def _keep(self, kind: RecordKind[Record], record: Record) -> None:
        """Write a record without a log entry."""
        if self._transaction.get(kind, kind.key_of(record)) is None:
            self._transaction.insert(kind, record)
        else:
            self._transaction.update(kind, record)


def _administers(identity: Identity) -> bool:
    return identity.role == ADMIN and identity.kind == "person" and not identity.disabled

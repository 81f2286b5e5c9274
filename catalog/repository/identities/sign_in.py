"""Sign in with a password, and authenticate by a token or a session.

A wrong name takes as long as a wrong password: the same transactions, the same hash, the same sentence. Attempts are
counted in the catalog, before the password is checked, so neither parallel attempts nor several hosts allow more of
them.
"""

from contextlib import suppress
from datetime import timedelta

from catalog.errors import IdentityNotFound, NotSignedIn, SignInFailed, SignInLimited
from catalog.log import events
from catalog.records import Identity, NewSession, Password, Session, SignedIn
from catalog.repository.catalog import Catalog
from catalog.repository.change import Change
from catalog.repository.identities import proofs
from catalog.rules.accounts.sign_in import NAME, counted, one_more, wait_s

USED_EVERY = timedelta(minutes=1)
"""Precision of a token's last use: a change for each request would make all other writers wait."""
NOBODY = "nobody"


def sign_in(catalog: Catalog, name: str, password: str, address: str, hours: float) -> NewSession:
    """Begin a session of a person. hours: how long it lasts. Raises SignInFailed, SignInLimited."""
    _count(catalog, name, address)
    found = _person(catalog, name)
    kept = catalog.password_of(found.name) if found else catalog.password_of("")  # as long for an unknown name
    right = proofs.is_right(kept.hash if kept else None, password)
    if not right or found is None or kept is None or found.disabled:
        with catalog.changing(found.account if found else NOBODY) as change:
            change.note_sign_in(events.IDENTITY_SIGN_IN_FAILED, found.name if found else "", address)
        raise SignInFailed
    again = proofs.hashed(password) if proofs.is_outdated(kept.hash) else None
    return _begin(catalog, kept, address, hours, again)


def _person(catalog: Catalog, name: str) -> Identity | None:
    with suppress(IdentityNotFound):
        found = catalog.identity(name if NAME.fullmatch(name) else "")  # not all text can be looked up
        return found if found.kind == "person" else None
    return None


def _count(catalog: Catalog, name: str, address: str) -> None:
    """Count an attempt before it is made. Raises SignInLimited."""
    with catalog.changing(NOBODY) as change:
        wait, now = _wait_s(change, name, address), change.now()
        if not wait:
            for subject in counted(name, address).values():
                change.keep_attempts(one_more(change.attempts(subject), subject, now))
            if _wait_s(change, name, address):  # logged once, when the limit is reached; later refusals are not
                change.note_sign_in(events.IDENTITY_SIGN_IN_LIMITED, "", address)
    if wait:
        raise SignInLimited(wait)


def _wait_s(change: Change, name: str, address: str) -> int:
    now = change.now()
    return max(wait_s(change.attempts(subject), kind, now) for kind, subject in counted(name, address).items())


def _begin(catalog: Catalog, proven: Password, address: str, hours: float, password_hash: str | None) -> NewSession:
    """Begin a session of a person, if the verified password is still theirs."""
    who = catalog.identity(proven.identity)
    with catalog.changing(who.account) as change:
        if change.password_of(who.name) != proven:  # the password changed while it was verified
            raise SignInFailed
        change.act_as(who.name)
        session = session_of(change, who.name, address, hours)
        change.forget_attempts(counted(who.name, address))
        if password_hash is not None:
            change.keep_password(who.name, password_hash)
    return session


def session_of(change: Change, name: str, address: str, hours: float) -> NewSession:
    """Begin a session of somebody who proved who they are, under a secret of its own."""
    secret, begun = proofs.new_secret(proofs.SESSION), change.now()
    ends = begun + timedelta(hours=hours)
    change.begin_session(
        Session(id=secret.id, identity=name, digest=secret.digest, created_at=begun, expires_at=ends), address
    )
    return NewSession(token=secret.text, expires_at=ends)


def signed_in(catalog: Catalog, text: str) -> SignedIn:
    """Return the identity that a token or a session proves. Raises NotSignedIn."""
    given = proofs.given(text)
    if given is None:
        raise NotSignedIn
    return _by_token(catalog, given) if given.sort == proofs.TOKEN else _by_session(catalog, given)


def _by_token(catalog: Catalog, given: proofs.Given) -> SignedIn:
    secret, now = catalog.token_secret(given.id), catalog.now()
    if not given.proves(secret.digest if secret else None) or secret is None:
        raise NotSignedIn
    token = catalog.token(given.id)
    if token.revoked_at is not None:
        raise NotSignedIn("this token was revoked")
    if token.expires_at is not None and token.expires_at <= now:
        raise NotSignedIn("this token has expired")
    who = _enabled(catalog, token.identity)
    if secret.last_used_at is None or not secret.last_used_at <= now < secret.last_used_at + USED_EVERY:
        with catalog.changing(who.account) as change:
            change.note_use(token.id, now)
    return SignedIn(identity=who, scope=token.scope, proof=f"token:{token.id}", expires_at=token.expires_at)


def _by_session(catalog: Catalog, given: proofs.Given) -> SignedIn:
    session, now = catalog.session(given.id), catalog.now()
    if not given.proves(session.digest if session else None) or session is None:
        raise NotSignedIn
    if session.expires_at <= now:
        raise NotSignedIn("this session has expired")
    who = _enabled(catalog, session.identity)
    return SignedIn(identity=who, proof=f"session:{session.id}", expires_at=session.expires_at)


def _enabled(catalog: Catalog, name: str) -> Identity:
    who = catalog.identity(name)
    if who.disabled:
        raise NotSignedIn("this identity is disabled")
    return who


def require_password(catalog: Catalog, name: str, password: str) -> None:
    """Raise SignInFailed or SignInLimited unless this is the current password of a signed-in person."""
    _count(catalog, name, f"session of {name}")
    kept = catalog.password_of(name)
    if not proofs.is_right(kept.hash if kept else None, password):
        raise SignInFailed


def sign_out(catalog: Catalog, who: SignedIn) -> None:
    """End a caller's session; a token stays valid."""
    sort, _, session_id = who.proof.partition(":")
    if sort == "session":
        with catalog.changing(who.identity.account) as change:
            change.end_session(session_id)

"""Persons of an identity provider: created at their first sign-in, updated from their groups at each sign-in."""

from collections.abc import Mapping
from contextlib import suppress

from catalog.errors import IdentityNotFound, SignInRefused
from catalog.log import events
from catalog.records import Identity, NewSession
from catalog.repository.catalog import Catalog
from catalog.repository.change import Change
from catalog.repository.identities import proofs
from catalog.repository.identities.sign_in import NOBODY, session_of

WHAT = "the sign-in at the provider"


def sign_in_proven(
    catalog: Catalog, name: str, proof: str, belongs: Mapping[str, object] | None, address: str, hours: float
) -> NewSession:
    """Begin a session of a person authenticated by a provider.

    proof: distinguishes them from anybody else of the same name; belongs: account, role and projects, None if their
    groups grant no access. Raises SignInRefused, LastAdministrator, InvalidRequest.
    """
    kept = proofs.foreign(proof)
    reason = _why_not(catalog, name, kept, belongs)
    if reason or belongs is None:
        with catalog.changing(NOBODY) as change:
            change.note_sign_in(events.IDENTITY_SIGN_IN_FAILED, name if _is_there(catalog, name) else "", address)
        raise SignInRefused(WHAT, reason)
    with catalog.changing(str(belongs["account"])) as change:
        change.act_as(name)
        return session_of(change, _placed(change, name, kept, belongs).name, address, hours)


def _why_not(catalog: Catalog, name: str, kept: str, belongs: Mapping[str, object] | None) -> str:
    """Return why a person is refused, "" if they are not."""
    if belongs is None:
        return "none of their groups has a place here"
    if not _is_there(catalog, name):
        return ""
    known = catalog.password_of(name)
    if known is None or known.hash != kept:
        return f"the name {name!r} is somebody else's here"
    return "this identity is disabled" if catalog.identity(name).disabled else ""


def _is_there(catalog: Catalog, name: str) -> bool:
    with suppress(IdentityNotFound):
        return bool(catalog.identity(name))
    return False


def _placed(change: Change, name: str, kept: str, belongs: Mapping[str, object]) -> Identity:
    """Return the person updated from their groups. Raises SignInRefused if the person changed meanwhile."""
    try:
        known = change.identity(name)
    except IdentityNotFound:
        made = {"name": name, "kind": "person", **belongs, "created_at": change.now(), "updated_at": change.now()}
        return change.add_identity(Identity.model_validate(made), kept)
    proven = change.password_of(name)
    if proven is None or proven.hash != kept or known.disabled:
        raise SignInRefused(WHAT, f"the name {name!r} is somebody else's here")
    changes = {field: value for field, value in belongs.items() if getattr(known, field) != value}
    return change.change_identity(name, changes) if changes else known

"""Records of identities and their credentials. Import them from `catalog.records`.

Hashes of passwords and tokens are kept in records of their own, which no log and no listing shows.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.record import Record

Role = Literal["viewer", "user", "admin"]
Verb = Literal["read", "use", "add", "change", "administer"]
"""Reads; makes something of a visible image; adds; changes what the account owns; administers."""
IdentityKind = Literal["person", "robot"]
Door = Literal["console", "API", "command", "Prefect UI", "schedule", "Python"]
"""The entry point by which an identity acts."""


class Identity(Record):
    """A person, who signs in with a password, or a robot, which has only tokens."""

    name: str
    kind: IdentityKind = "person"
    account: str
    projects: tuple[str, ...] = ()  # empty: the account's
    role: Role = "viewer"
    disabled: bool = False
    created_at: datetime
    updated_at: datetime


class Scope(Record):
    """The part of its identity's rights that a token has. Empty: no limit of that kind."""

    verbs: tuple[Verb, ...] = ()
    images: tuple[str, ...] = ()  # patterns of names, `*` and `?`
    families: tuple[str, ...] = ()


class Token(Record):
    """A token, which identifies a program as an identity. Its secret is shown once, when it is created."""

    id: str
    name: str = ""  # its purpose, in its maker's words
    identity: str
    scope: Scope = Field(default_factory=Scope)
    created_by: str = ""
    created_at: datetime
    expires_at: datetime | None = None  # refused from then on
    revoked_at: datetime | None = None


class ListedToken(Token):
    """A token in listings. last_used_at: to the minute."""

    last_used_at: datetime | None = None


class NewToken(Token):
    """A new token with its secret, which is shown only once."""

    token: str


class NewSession(Record):
    """A new session with its secret, which is shown only once."""

    token: str
    expires_at: datetime


class DeviceCode(Record):
    """What somebody types at the provider's page. device: to be given when asking whether they did; seconds from now."""

    device: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None = None
    expires_in: int
    interval: int = 5


class SignedIn(Record):
    """An identity proven by a token or a session. proof: its name in the log, e.g. `token:<id>`."""

    identity: Identity
    scope: Scope = Field(default_factory=Scope)
    proof: str
    expires_at: datetime | None = None


class Password(Record):
    """A person's password. hash: Argon2, with its parameters."""

    identity: str
    hash: str
    changed_at: datetime


class TokenSecret(Record):
    """A token's secret. digest: SHA-256 of the 256 random bits, hex."""

    token_id: str
    digest: str
    last_used_at: datetime | None = None


class Session(Record):
    """A person's session. digest: as of a token."""

    id: str
    identity: str
    digest: str
    created_at: datetime
    expires_at: datetime


class Attempts(Record):
    """The number of sign-in attempts by name or address (limits: `catalog.rules.accounts.sign_in`)."""

    subject: str
    count: int
    since: datetime


class SeenFrom(Record):
    """The address of a sign-in attempt, as noted in the log."""

    address: str

"""Who may sign in, and what they sign in with. Part of `catalog.records`, which everybody imports them from.

What proves somebody (hashes of passwords and tokens) is kept in records of its own that no log and no listing shows.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.record import Record

Role = Literal["viewer", "user", "admin"]
Verb = Literal["read", "use", "add", "change", "administer"]
"""What is done: reads; makes something of an image that it sees; adds; changes what its account owns; administers."""
IdentityKind = Literal["person", "robot"]
Door = Literal["console", "API", "command", "Prefect UI", "schedule", "Python"]
"""Where somebody came in."""


class Identity(Record):
    """A person, who signs in with a password, or a robot, which has tokens only."""

    name: str
    kind: IdentityKind = "person"
    account: str
    projects: tuple[str, ...] = ()  # empty: those of its account
    role: Role = "viewer"
    disabled: bool = False
    created_at: datetime
    updated_at: datetime


class Scope(Record):
    """What a token may do of what its identity may. Empty: no limit of that kind."""

    verbs: tuple[Verb, ...] = ()
    images: tuple[str, ...] = ()  # patterns of names, `*` and `?`
    families: tuple[str, ...] = ()


class Token(Record):
    """A token, by which a program is known as an identity. The secret itself is shown once, when it is made."""

    id: str
    name: str = ""  # what it is for, in its maker's words
    identity: str
    scope: Scope = Field(default_factory=Scope)
    created_by: str = ""
    created_at: datetime
    expires_at: datetime | None = None  # from then on it is refused
    revoked_at: datetime | None = None


class ListedToken(Token):
    """A token as it is listed. last_used_at: to the minute."""

    last_used_at: datetime | None = None


class NewToken(Token):
    """A token that was just made, with what is shown this once."""

    token: str


class NewSession(Record):
    """A session that was just begun, with what is shown this once."""

    token: str
    expires_at: datetime


class SignedIn(Record):
    """Who is there, by a token or a session that was proven. proof: its name in the log, e.g. `token:<id>`."""

    identity: Identity
    scope: Scope = Field(default_factory=Scope)
    proof: str
    expires_at: datetime | None = None


class Password(Record):
    """What proves a person. hash: of Argon2, with its parameters."""

    identity: str
    hash: str
    changed_at: datetime


class TokenSecret(Record):
    """What proves a token. digest: SHA-256 of the 256 random bits, hex."""

    token_id: str
    digest: str
    last_used_at: datetime | None = None


class Session(Record):
    """A person who is signed in. digest: as of a token."""

    id: str
    identity: str
    digest: str
    created_at: datetime
    expires_at: datetime


class Attempts(Record):
    """Sign-ins that were tried, by whom or from where (`catalog.rules.accounts.sign_in` says how many may be)."""

    subject: str
    count: int
    since: datetime


class SeenFrom(Record):
    """From where a sign-in was tried: what the log notes of it."""

    address: str

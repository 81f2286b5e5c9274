"""Credentials: passwords, kept as Argon2 hashes; tokens and sessions, 256 random bits kept as SHA-256.

A token reads `iw_<id>_<secret>`, a session `iws_<id>_<secret>`: the id finds the row, the secret proves it.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from catalog.rules.accounts.sign_in import LONGEST

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Sort = Literal["iw", "iws"]
TOKEN: Sort = "iw"  # noqa: S105  # how it begins
SESSION: Sort = "iws"
SECRET_BYTES = 32
SHAPE = re.compile(r"(iws?)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
FOREIGN = "foreign:"
"""Prefix of a provider's proof in place of a password hash; no password matches it."""
NOBODY = hashlib.sha256(secrets.token_bytes(SECRET_BYTES)).hexdigest()
"""Compared if there is no row: no secret has this digest."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret. text: shown once."""

    id: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Given:
    """A token or session as a client gave it."""

    sort: Sort
    id: str
    digest: str

    def proves(self, kept: str | None) -> bool:
        """Tell, in constant time, whether the secret matches the stored digest; None: there is no row."""
        return hmac.compare_digest(self.digest, kept or NOBODY)


def new_secret(sort: Sort) -> Secret:
    """Return a new random secret."""
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    return Secret(name, f"{sort}_{name}_{secret}", _digest(secret))


def given(text: str) -> Given | None:
    """Parse a token or a session, None if it is neither."""
    found = SHAPE.fullmatch(text)
    return Given(TOKEN if found[1] == TOKEN else SESSION, found[2], _digest(found[3])) if found else None


def hashed(password: str) -> str:
    """Return the hash of a password, with salt and parameters. Takes 64 MiB and a tenth of a second."""
    return _hasher().hash(_plain(password))


def foreign(proof: str) -> str:
    """Return the value stored in place of a password hash for a provider's person. proof: hex of a digest."""
    return FOREIGN + proof


def is_right(kept: str | None, password: str) -> bool:
    """Tell whether a password matches the hash. kept: None if there is no hash, which takes as long."""
    from argon2.exceptions import InvalidHashError, VerificationError

    kept = None if kept is not None and kept.startswith(FOREIGN) else kept  # a provider's proof takes as long too
    try:
        _hasher().verify(kept or _of_nobody(), _plain(password))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Tell whether a hash was made with weaker parameters than today's."""
    return _hasher().check_needs_rehash(kept)


def _plain(password: str) -> bytes:
    text = unicodedata.normalize("NFKC", password[: LONGEST + 1])
    return text.encode(errors="surrogatepass")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _of_nobody() -> str:
    return _hasher().hash(secrets.token_bytes(SECRET_BYTES))

"""What proves somebody: passwords by Argon2, tokens and sessions by 256 random bits of which SHA-256 is kept.

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
"""How the proof of a person begins whom a provider knows: no password is theirs."""
NOBODY = hashlib.sha256(secrets.token_bytes(SECRET_BYTES)).hexdigest()
"""What is compared where there is no row: nothing is this digest."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that was just made. text: shown once."""

    id: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody gave as their proof."""

    sort: Sort
    id: str
    digest: str

    def proves(self, kept: str | None) -> bool:
        """Tell, in the same time whatever is wrong, whether it is what was kept; None: there is no row."""
        return hmac.compare_digest(self.digest, kept or NOBODY)


def new_secret(sort: Sort) -> Secret:
    """Return a secret that nobody knows."""
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    return Secret(name, f"{sort}_{name}_{secret}", _digest(secret))


def given(text: str) -> Given | None:
    """Return what a token says, None for what is none."""
    found = SHAPE.fullmatch(text)
    return Given(TOKEN if found[1] == TOKEN else SESSION, found[2], _digest(found[3])) if found else None


def hashed(password: str) -> str:
    """Return the hash of a password, with salt and parameters. Takes 64 MiB and a tenth of a second."""
    return _hasher().hash(_plain(password))


def foreign(proof: str) -> str:
    """Return what is kept of a person whom a provider knows, in the place of a password's hash. proof: hex of a digest."""
    return FOREIGN + proof


def is_right(kept: str | None, password: str) -> bool:
    """Tell whether a password is the one that was hashed; None: there is none, which takes as long to find out."""
    from argon2.exceptions import InvalidHashError, VerificationError

    kept = None if kept is not None and kept.startswith(FOREIGN) else kept  # which takes as long as well
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

"""Rules for names and passwords, and limits of failed sign-ins.

| counted by | failures within 15 minutes |
|---|---|
| name and address together | 5: guessing from elsewhere does not lock out the owner of a name |
| address | 30 |
| name | 50 |
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from catalog.errors import InvalidRequest
from catalog.records import Attempts

WINDOW = timedelta(minutes=15)
MOST: Mapping[str, int] = {"both": 5, "address": 30, "name": 50}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
LONGEST_TOKEN_NAME = 64
SHORTEST, LONGEST = 8, 1024
"""Least and most characters of a password: fewer can be guessed, more only cost time."""


def check_name(name: str) -> str:
    """Return a valid name of an identity. Raises InvalidRequest."""
    if not NAME.fullmatch(name):
        raise InvalidRequest("name", name, "1 to 64 letters, digits and . _ @ + -, the first a letter or digit")
    return name


def check_token_name(name: str) -> str:
    """Return a valid name of a token; empty: no name. Raises InvalidRequest."""
    if len(name) > LONGEST_TOKEN_NAME or name != name.strip() or not name.isprintable():
        allowed = f"at most {LONGEST_TOKEN_NAME} characters that can be seen, no space at either end"
        raise InvalidRequest("name", name[: LONGEST_TOKEN_NAME + 1], allowed)
    return name


def check_names(account: str, projects: tuple[str, ...]) -> None:
    """Raise InvalidRequest for names of accounts and projects that are empty or have leading or trailing spaces."""
    for parameter, given in (("account", (account,)), ("projects", projects)):
        if not all(name and name == name.strip() and len(name) <= LONGEST for name in given):
            raise InvalidRequest(parameter, given, "names that are not empty and have no space at either end")


def check_password(name: str, password: str) -> str:
    """Return a valid new password. Raises InvalidRequest, whose sentence never repeats it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest("password", f"one of {len(password)} characters", f"{SHORTEST} to {LONGEST} of them")
    if password.casefold() == name.casefold():
        raise InvalidRequest("password", "the name itself", "another word")
    return password


def counted(name: str, address: str) -> Mapping[str, str]:
    """Return the subjects of an attempt by the kinds of `MOST`.

    Names are hashed: people type passwords into them too.
    """
    hashed = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    return {"both": f"both:{hashed}:{address}", "address": f"address:{address}", "name": f"name:{hashed}"}


def is_old(attempts: Attempts, now: datetime) -> bool:
    """Tell whether attempts no longer count. A future moment comes from a clock that has been set back."""
    return not attempts.since <= now < attempts.since + WINDOW


def one_more(known: Attempts | None, subject: str, now: datetime) -> Attempts:
    """Return the count of attempts after one more."""
    if known is None or is_old(known, now):
        return Attempts(subject=subject, count=1, since=now)
    return known.model_copy(update={"count": known.count + 1})


def wait_s(known: Attempts | None, kind: str, now: datetime) -> int:
    """Return the seconds to wait before the next attempt, 0 for none."""
    if known is None or known.count < MOST[kind] or is_old(known, now):
        return 0
    return max(1, round((known.since + WINDOW - now).total_seconds()))

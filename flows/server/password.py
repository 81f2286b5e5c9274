"""The password of Prefect's server: created at its first start, stored in the home, and read there by our processes."""

import secrets
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from catalog.files import made_once
from catalog.settings import Settings

CLIENT, SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
USER = "imagewright"
BYTES = 24


def password_file(settings: Settings) -> Path:
    """Return the file with `user:password` of this home's server."""
    return settings.home / "server.auth"


def set_password(settings: Settings, environment: MutableMapping[str, str]) -> str:
    """Set the password for a server and its clients in an environment, the one given there or the home's; return it."""
    given = environment.get(SERVER) or environment.get(CLIENT) or _kept(password_file(settings))
    environment[SERVER] = environment[CLIENT] = given
    return given


def find_password(settings: Settings, environment: MutableMapping[str, str]) -> None:
    """Set the password of this home's server for a client, if none is set and this user may read the file."""
    with suppress(OSError):
        if not environment.get(CLIENT):
            environment[CLIENT] = password_file(settings).read_text().strip()


def where_it_lies(settings: Settings, password: str) -> str:
    """Return a sentence that says where the password is, without revealing it."""
    with suppress(OSError):
        if password_file(settings).read_text().strip() == password:
            return f"what {password_file(settings)} holds"
    return f"what {SERVER} or {CLIENT} says"


def new_password() -> str:
    """Return a new random `user:password`."""
    return f"{USER}:{secrets.token_urlsafe(BYTES)}"


def _kept(path: Path) -> str:
    """Return the stored password; create the file on first use."""
    return made_once(path, f"{new_password()}\n".encode()).decode().strip()

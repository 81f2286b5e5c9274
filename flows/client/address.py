"""Service address and token: `IMAGEWRIGHT_SERVER` and `IMAGEWRIGHT_TOKEN`, else those saved by `imagewright login`.

The token is saved in a file of the home that only its user may read, whatever group may read the rest.
"""

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from catalog.errors import InvalidRequest, NotSignedIn
from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import Record
from catalog.settings import Settings, service_named

PATH = "/api/v1"
ADDRESS = "an address such as https://images.example"
OURS_ALONE = 0o600
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Login(Record):
    """A service and a token for it. is_session: the token ends with the sign-out."""

    url: str
    token: str
    name: str = ""
    is_session: bool = False
    expires_at: datetime | None = None


def login_file(settings: Settings) -> Path:
    """Return the path of the saved login."""
    return settings.home / "login.json"


def chosen(settings: Settings) -> Login | None:
    """Return the service that commands are sent to, None for this host's own catalog.

    Raises InvalidRequest for an invalid address or a token without an address, NotSignedIn for a service without a
    token.
    """
    url, token = service_named()
    kept = kept_login(settings)
    if not url and token:
        raise InvalidRequest("IMAGEWRIGHT_TOKEN", "a token", "IMAGEWRIGHT_SERVER as well: the service that it is for")
    if not url:
        return kept
    named = service_url("IMAGEWRIGHT_SERVER", url)
    if token:
        return Login(url=named, token=token)
    if kept is not None and kept.url == named:
        return kept
    raise NotSignedIn(f"no token for {named} is kept here; `imagewright login {named}`, or set IMAGEWRIGHT_TOKEN")


def service_url(parameter: str, given: str) -> str:
    """Return a service's address in normal form, without the API's path. Raises InvalidRequest."""
    try:
        parts = urlsplit(given.strip())
        port = parts.port
    except ValueError as error:
        raise InvalidRequest(parameter, given, ADDRESS) from error
    plain = not (parts.query or parts.fragment or parts.username or parts.password) and given.isprintable()
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or " " in given.strip():
        raise InvalidRequest(parameter, _without_password(given), ADDRESS)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix(PATH).rstrip("/")
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{path}"


def _without_password(given: str) -> str:
    return given.rpartition("@")[2]


def is_in_the_open(url: str) -> bool:
    """Tell whether a token would travel over a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def kept_login(settings: Settings) -> Login | None:
    """Return the saved login, None if there is no readable one."""
    try:
        return Login.model_validate_json(login_file(settings).read_bytes())
    except (OSError, ValidationError):
        return None


def keep(settings: Settings, login: Login) -> None:
    """Save a login, replacing the previous one."""
    file = login_file(settings)
    make_folder(file.parent)
    with written_aside(file) as text:
        os.fchmod(text.fileno(), OURS_ALONE)
        text.write(login.model_dump_json().encode())


def forget(settings: Settings) -> None:
    """Delete the saved login; a no-op if there is none."""
    login_file(settings).unlink(missing_ok=True)

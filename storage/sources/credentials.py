"""The secret with which a source is opened: a named secret, or else the URL's user and password."""

import json
import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError

from catalog.errors import InvalidRequest
from catalog.records import Record
from catalog.rules.storages.sources import SCHEMES
from storage.sources.urls import SourceUrl

_ALLOWED = (
    "it must be user:password, a private key, or a JSON object of user, password, token, private_key, passphrase, "
    "endpoint, region, access_key, secret_key, session_token"
)
_KEY_TEXT = "-----BEGIN "
_HEADER_VALUE = re.compile(r"[!-~]+")


def _sendable(value: str) -> str:
    """Refuse values that are invalid in a header: a line break would begin another one."""
    if not _HEADER_VALUE.fullmatch(value.strip()):
        raise ValueError("it has characters that a header cannot carry")
    return value.strip()


_Sent = Annotated[str, AfterValidator(_sendable)]


class Credentials(Record):
    """Every field is optional; a scheme uses those it knows. A repr shows none of them."""

    user: str | None = Field(default=None, repr=False)
    password: str | None = Field(default=None, repr=False)
    token: _Sent | None = Field(default=None, repr=False)  # http(s): bearer token
    private_key: str | None = Field(default=None, repr=False)  # sftp: OpenSSH or PEM text
    passphrase: str | None = Field(default=None, repr=False)  # of the private key
    access_key: _Sent | None = Field(default=None, repr=False)  # s3
    secret_key: str | None = Field(default=None, repr=False)
    session_token: _Sent | None = Field(default=None, repr=False)
    endpoint: str | None = None
    region: str | None = None

    def or_url(self, url: SourceUrl) -> Self:
        """Fill in user and password from the URL if the secret names no user."""
        if self.user is not None or self.token is not None or url.user is None:
            return self
        return self.model_copy(update={"user": url.user, "password": self.password or url.password})

    def require_use(self, scheme: str) -> Self:
        """Return the credentials; raise InvalidRequest if sources of the scheme can use none of them."""
        taken = SCHEMES[scheme].secret_fields
        if self.model_fields_set and not any(getattr(self, name) is not None for name in taken):
            allowed = f"{scheme} takes {', '.join(taken)}" if taken else f"{scheme} takes no credentials"
            raise InvalidRequest("credentials", "***", allowed)
        return self


def parse_credentials(secret: str | None) -> Credentials:
    """Read a secret's text. Raises InvalidRequest, never showing it."""
    if not secret:
        return Credentials()
    text = secret.strip()
    if text.startswith(_KEY_TEXT):
        return Credentials(private_key=text + "\n")
    if not text.startswith("{"):
        user, colon, password = text.partition(":")
        if not colon:
            raise InvalidRequest("credentials", "***", _ALLOWED)
        return Credentials(user=user, password=password)
    try:
        return Credentials.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError):
        raise InvalidRequest("credentials", "***", _ALLOWED) from None

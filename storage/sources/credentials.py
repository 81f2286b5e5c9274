"""The secret that a source is opened with: what a named secret holds, or else what the URL carries."""

import json
from typing import Self

from pydantic import Field, ValidationError

from catalog.errors import InvalidRequest
from catalog.records import Record
from storage.sources.urls import SourceUrl

_ALLOWED = (
    "it must be user:password, or a JSON object of user, password, token, private_key, endpoint, region, "
    "access_key, secret_key, session_token"
)


class Credentials(Record):
    """Every field is optional; a scheme takes those it knows. Nothing shows in a repr."""

    user: str | None = Field(default=None, repr=False)
    password: str | None = Field(default=None, repr=False)
    token: str | None = Field(default=None, repr=False)  # http(s): bearer token
    private_key: str | None = Field(default=None, repr=False)  # sftp: OpenSSH or PEM text
    access_key: str | None = Field(default=None, repr=False)  # s3
    secret_key: str | None = Field(default=None, repr=False)
    session_token: str | None = Field(default=None, repr=False)
    endpoint: str | None = None
    region: str | None = None

    def or_url(self, url: SourceUrl) -> Self:
        """Fill in user and password from the URL where the secret names no user."""
        if self.user is not None or self.token is not None or url.user is None:
            return self
        return self.model_copy(update={"user": url.user, "password": self.password or url.password})


def parse_credentials(secret: str | None) -> Credentials:
    """Read a secret's text. Raises InvalidRequest, never showing it."""
    if not secret:
        return Credentials()
    text = secret.strip()
    if not text.startswith("{"):
        user, colon, password = text.partition(":")
        if not colon:
            raise InvalidRequest("credentials", "***", _ALLOWED)
        return Credentials(user=user, password=password)
    try:
        return Credentials.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError):
        raise InvalidRequest("credentials", "***", _ALLOWED) from None

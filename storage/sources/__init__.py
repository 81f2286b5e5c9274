"""Where images come from: one file a scheme, one table row a scheme."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, cast

from catalog.settings import Settings
from storage.protocols import Source
from storage.sources.credentials import Credentials, parse_credentials
from storage.sources.masking import mask
from storage.sources.urls import SourceUrl, parse_url

__all__ = ["SCHEMES", "mask", "open_source"]

SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "http": "storage.sources.http:open_http",
        "https": "storage.sources.http:open_http",
        "ftp": "storage.sources.ftp:FtpSource",
        "sftp": "storage.sources.sftp:SftpSource",
        "s3": "storage.sources.s3:open_s3",
        "file": "storage.sources.file:FileSource",
    }
)
"""Scheme → class, imported when it is used: start-up time is a feature."""


class _Maker(Protocol):
    def __call__(
        self, url: SourceUrl, settings: Settings, credentials: Credentials, source_address: str | None, /
    ) -> Source: ...


def open_source(
    url: str, settings: Settings, *, credentials: str | None = None, source_address: str | None = None
) -> Source:
    """Return the source at `url`. Nothing is connected to yet.

    credentials: what a secret holds, `user:password` or a JSON object (see `Credentials`); wins over the URL's.
    source_address: local address to connect from.
    Raises SourceForbidden for a scheme or spelling that is not allowed, InvalidRequest for unreadable credentials.
    """
    parsed = parse_url(url)
    module, _, name = SCHEMES[parsed.scheme].partition(":")
    maker = cast("_Maker", getattr(import_module(module), name))
    return maker(parsed, settings, parse_credentials(credentials), source_address)

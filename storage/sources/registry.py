"""The sources by URL scheme: one table row each."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, cast
from urllib.parse import parse_qsl

from catalog.rules.storages.sources import UPLOAD
from catalog.settings import Settings
from storage.sources.credentials import Credentials, parse_credentials
from storage.sources.masking import mask, split_urls
from storage.sources.packed.source import PackedSource
from storage.sources.streams import PeekableSource
from storage.sources.time_limit import timed
from storage.sources.urls import SourceUrl, parse_url
from storage.uploads import Uploads

OPENERS: Mapping[str, str] = MappingProxyType(
    {
        "http": "storage.sources.http.source:open_http",
        "https": "storage.sources.http.source:open_http",
        "ftp": "storage.sources.ftp.source:FtpSource",
        "sftp": "storage.sources.sftp.source:SftpSource",
        "s3": "storage.sources.s3.source:open_s3",
        "file": "storage.sources.file:FileSource",
        "upload": "storage.sources.upload:UploadSource",
    }
)
"""Scheme → maker of its source, imported when used. Its other properties: `catalog.rules.storages.sources.SCHEMES`."""


class _Maker(Protocol):
    def __call__(self, url: SourceUrl, settings: Settings, credentials: Credentials, /) -> PeekableSource: ...


def open_source(
    url: str,
    settings: Settings,
    *,
    credentials: str | None = None,
    packed_algorithm: str | None = None,
    uploads: Uploads | None = None,
) -> PackedSource:
    """Return the source at `url`; packed files are unpacked as they are read. Nothing is connected to yet.

    url: one, or several of the same image (mirrors) separated by white space.
    credentials: the text of a secret: `user:password`, a private key or a JSON object (see `Credentials`); overrides
    the URL's; of several mirrors only those on the first one's host get it. The setting `total_timeout_s` limits the
    time of all reading together.
    uploads: where an upload is searched for; by default the home's folder.
    packed_algorithm: also hash the file as the server has it, if it is packed; see `PackedSource.packed_checksum`.
    Raises SourceForbidden for a scheme or spelling that is not allowed, InvalidRequest for unreadable credentials.
    """
    urls = split_urls(url)
    mirrors = [open_plain(one, settings, credentials if same_host(one, urls[0]) else None, uploads) for one in urls]
    source = timed(_one_of(mirrors), settings.total_timeout_s, mask(url))
    return PackedSource(source, settings, mask(url), packed_algorithm)


def _one_of(mirrors: Sequence[PeekableSource]) -> PeekableSource:
    if len(mirrors) == 1:
        return mirrors[0]
    from storage.sources.mirrors import MirrorSource

    return MirrorSource(mirrors)


def same_host(one: str, other: str) -> bool:
    """Tell whether one URL's credentials may be sent to the other's server: same scheme, host and port."""
    return one == other or _server(one) == _server(other)


def _server(url: str) -> tuple[str, str, int, str]:
    """Return the origin of a URL; for an s3 URL without a host, with the endpoint."""
    parsed = parse_url(url)
    endpoint = dict(parse_qsl(parsed.query)).get("endpoint", "") if parsed.scheme == "s3" else ""
    return (*parsed.origin, endpoint.rstrip("/"))


def open_plain(
    url: str,
    settings: Settings,
    credentials: str | None = None,
    uploads: Uploads | None = None,
) -> PeekableSource:
    """Return the source at one URL, with its bytes as the server has them. Raises as `open_source`."""
    parsed = parse_url(url)
    module, _, name = OPENERS[parsed.scheme].partition(":")
    maker = cast("_Maker", getattr(import_module(module), name))
    given = parse_credentials(credentials).require_use(parsed.scheme)
    if parsed.scheme == UPLOAD and uploads is not None:
        from storage.sources.upload import open_upload

        return open_upload(parsed, settings, uploads)
    return maker(parsed, settings, given)

"""The address of another site's image storage, and the connection to it: one per address, shared by all threads."""

import json
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from catalog.errors import InvalidRequest
from catalog.records import Record

CLIENTS, CONNECTIONS = 8, 16


class SiteAddress(Record):
    """An image storage of another Imagewright. url: https://host[:port]/storages/NAME, without a slash at its end."""

    url: str
    token: str
    ca_file: str | None = None  # certificates of authorities trusted in addition to the system's
    source_address: str | None = None  # local address that connections are bound to
    connect_timeout_s: float = 15
    read_timeout_s: float = 60


def parse_site(url: str, credentials: str | None) -> SiteAddress:
    """Return an address. credentials: `{"token": …}` or the token itself. Raises InvalidRequest."""
    parts = urlsplit(url)
    before, _, name = parts.path.rstrip("/").rpartition("/storages/")
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.query or not name or "/" in name:
        raise InvalidRequest("url", url, "https://host[:port]/storages/NAME, NAME as the other site calls its storage")
    return SiteAddress(url=f"https://{parts.netloc}{before}/storages/{name}", token=_token(credentials))


def _token(credentials: str | None) -> str:
    given = (credentials or "").strip()
    if given.startswith("{"):
        try:
            given = str(json.loads(given)["token"])
        except (ValueError, KeyError, TypeError):
            given = ""
    if not given.isascii() or not given.isprintable() or not given:
        raise InvalidRequest("credentials", "…", 'a secret that is a token of the other site, or {"token": "iw_…"}')
    return given


@lru_cache(maxsize=CLIENTS)  # a run opens its storage in each task, and TLS begins with two round trips
def client_of(address: SiteAddress) -> httpx.Client:
    """Return the connection to a site; its certificate is checked with the system's authorities or `ca_file`."""
    return httpx.Client(
        base_url=f"{address.url}/",
        headers={"Authorization": f"Bearer {address.token}", "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(address.read_timeout_s, connect=address.connect_timeout_s),
        transport=httpx.HTTPTransport(
            verify=_trusted(address.ca_file),
            local_address=address.source_address,
            limits=httpx.Limits(max_connections=CONNECTIONS),
        ),
        follow_redirects=False,
    )


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise InvalidRequest("ca_file", ca_file, "a readable PEM file of certificate authorities") from error
    return context

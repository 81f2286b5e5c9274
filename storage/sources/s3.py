"""s3://bucket/key sources: signed HTTP requests over the same checked connections as http.

Not s3fs, though it is at hand: it connects by itself, so no address could be checked on the connection.
Without credentials the request is anonymous: the worker's own cloud identity is never lent to a URL that somebody typed.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode

from catalog.errors import InvalidRequest, SourceForbidden
from catalog.settings import Settings
from storage.sources.addresses import policy
from storage.sources.credentials import Credentials
from storage.sources.http import HttpSource
from storage.sources.http_exchange import Answer, Authorize, HttpClient
from storage.sources.s3_signature import sign
from storage.sources.urls import SourceUrl, parse_url

DEFAULT_REGION = "us-east-1"
_PARAMETERS = ("endpoint", "region", "versionId")
_ELSEWHERE = (301, 307, 400)  # how S3 answers a request for a bucket of another region
_REGION = re.compile(r"[a-z0-9-]{1,40}")  # it becomes a part of a host name


def open_s3(
    url: SourceUrl, settings: Settings, credentials: Credentials, source_address: str | None
) -> "S3Source":
    """Return the source at `s3://bucket/key[?endpoint=URL&region=NAME&versionId=ID]`.

    credentials: access_key and secret_key (or user and password), and maybe endpoint and region, which then win.
    Raises SourceForbidden for an endpoint in the URL that is not the one the credentials belong to.
    """
    parameters = dict(parse_qsl(url.query))
    if unknown := sorted(set(parameters) - set(_PARAMETERS)):
        raise SourceForbidden(url.masked, f"parameter {unknown[0]!r} is not one of {', '.join(_PARAMETERS)}")
    keys, rules = _keys(url, credentials), policy(settings, source_address)

    def in_region(region: str) -> tuple[SourceUrl, HttpClient]:
        target = _target(url, _endpoint(url, keys, parameters.get("endpoint"), region), parameters)
        return target, HttpClient(settings, rules, _authorize(keys, region), target.origin)

    return S3Source(keys.region or parameters.get("region") or DEFAULT_REGION, in_region)


class S3Source(HttpSource):
    """An object, addressed by path: the form that every S3 server understands, whatever the bucket's name."""

    def __init__(self, region: str, in_region: Callable[[str], tuple[SourceUrl, HttpClient]]) -> None:
        """in_region: returns the object's URL in a region, and a client that signs for it."""
        super().__init__(*in_region(region))
        self._region, self.in_region = region, in_region

    def request(self, method: str, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Ask; where the bucket turns out to live in another region, ask there from now on."""
        answer = super().request(method, headers, brief=brief)
        region = answer.header("x-amz-bucket-region")
        if answer.status not in _ELSEWHERE or region == self._region or not _REGION.fullmatch(region):
            return answer
        answer.wire.close()
        self._region = region
        self.url, self.client = self.in_region(region)
        return super().request(method, headers, brief=brief)


def _keys(url: SourceUrl, credentials: Credentials) -> Credentials:
    given = credentials.or_url(url)
    access, secret = given.access_key or given.user, given.secret_key or given.password
    if bool(access) != bool(secret):
        raise InvalidRequest("credentials", "***", "S3 needs both an access key and a secret key, or neither")
    return given.model_copy(update={"access_key": access, "secret_key": secret})


def _endpoint(url: SourceUrl, keys: Credentials, asked: str | None, region: str) -> str:
    if keys.endpoint and asked and keys.endpoint.rstrip("/") != asked.rstrip("/"):
        raise SourceForbidden(
            url.masked, f"its credentials belong to {keys.endpoint}, not to the endpoint it names"
        )
    return keys.endpoint or asked or f"https://s3.{region}.amazonaws.com"


def _target(url: SourceUrl, endpoint: str, parameters: dict[str, str]) -> SourceUrl:
    """Return the object's http(s) URL, shown as the s3 URL that was given."""
    server = parse_url(endpoint)
    key = unquote(url.path.removeprefix("/"))
    if server.scheme not in ("http", "https") or server.user is not None or server.query:
        raise SourceForbidden(url.masked, "its endpoint is not plain http://host:port or https://host:port")
    if not url.host or not key or key.endswith("/"):
        raise SourceForbidden(url.masked, "write s3://bucket/key")
    path = f"{server.path.rstrip('/')}/{url.host}/{quote(key, safe='/-_.~')}"
    version = {"versionId": parameters["versionId"]} if "versionId" in parameters else {}
    return server.model_copy(
        update={"path": path, "query": urlencode(version, quote_via=quote), "masked": url.masked}
    )


def _authorize(keys: Credentials, region: str) -> Authorize | None:
    if not keys.access_key:
        return None
    return lambda method, url: sign(method, url, keys, region, datetime.now(UTC))

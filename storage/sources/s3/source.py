"""s3://bucket/key sources: signed HTTP requests over the same checked connections as http.

s3fs is unsuitable here: it connects by itself, so no address could be checked on the connection. Without credentials
the request is anonymous: the worker's own cloud identity is never used for a URL that a user typed.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urlencode

from catalog.errors import InvalidRequest, SourceForbidden
from catalog.settings import Settings
from catalog.units import utc_now
from storage.sources.credentials import Credentials
from storage.sources.http.exchange import Answer, Authorize, HttpClient, redirects
from storage.sources.http.source import HttpSource
from storage.sources.network.addresses import policy
from storage.sources.s3.signature import sign
from storage.sources.urls import SourceUrl, parse_url

DEFAULT_REGION = "us-east-1"
_PARAMETERS = ("endpoint", "region", "versionId")
_ELSEWHERE = (301, 302, 307, 400)  # S3's answers to a request for a bucket of another region
_REGION = re.compile(r"[a-z0-9-]{1,40}")  # it becomes part of a host name
_AWS = re.compile(
    r"(?:[a-z0-9.-]+\.)?(?P<service>s3(?:[.-]dualstack)?)(?:[.-](?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}))?"
    r"(?P<domain>\.amazonaws\.com(?:\.cn)?)"
)
"""The host names of Amazon's own S3: the bucket may precede, the region is in the name."""


def open_s3(url: SourceUrl, settings: Settings, credentials: Credentials) -> "S3Source":
    """Return the source at `s3://bucket/key[?endpoint=URL&region=NAME&versionId=ID]`.

    credentials: access_key and secret_key (or user and password), optionally endpoint and region, which then take
    priority.
    Raises SourceForbidden if the URL's endpoint is not the one the credentials belong to.
    """
    parameters = dict(parse_qsl(url.query))
    if unknown := sorted(set(parameters) - set(_PARAMETERS)):
        raise SourceForbidden(url.masked, f"parameter {unknown[0]!r} is not one of {', '.join(_PARAMETERS)}")
    keys, rules = _keys(url, credentials), policy(settings)

    endpoint = _endpoint(url, keys, parameters.get("endpoint"))

    def in_region(region: str) -> tuple[SourceUrl, HttpClient]:
        target = _target(url, endpoint, region, parameters)
        return target, HttpClient(settings, rules, _authorize(keys, region), target.origin)

    region = keys.region or parameters.get("region") or _region_in(endpoint.host) or DEFAULT_REGION
    return S3Source(region, in_region)


class S3Source(HttpSource):
    """An object, addressed by path: every S3 server understands this form, for any bucket name."""

    def __init__(self, region: str, in_region: Callable[[str], tuple[SourceUrl, HttpClient]]) -> None:
        """in_region: returns the object's URL in a region, and a client that signs for it."""
        super().__init__(*in_region(region))
        self._region, self.in_region = region, in_region

    def request(self, method: str, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Send a request; if the bucket lies in another region, send this and later requests there, signed for it.

        Only the region is taken from such an answer. Any other redirect is followed as with http: unsigned.
        """
        answer = self.client.request_once(method, self.url, headers, None, brief=brief)
        region = _region_of(answer)
        if answer.status not in _ELSEWHERE or not region or region == self._region:
            return self.client.follow(answer, method, headers, brief=brief)
        answer.wire.close()
        self._region = region
        self.url, self.client = self.in_region(region)
        return super().request(method, headers, brief=brief)


def _region_of(answer: Answer) -> str:
    """Return the bucket's region from an answer: its own header, or the S3 host it redirects to."""
    told = answer.header("x-amz-bucket-region")
    if _REGION.fullmatch(told):
        return told
    host = re.match(r"https?://([^/:?#]+)", answer.header("Location"))
    return _region_in(host[1].lower()) if host and redirects(answer) else ""


def _region_in(host: str) -> str:
    found = _AWS.fullmatch(host)
    return (found["region"] or "") if found else ""


def _host_in(region: str, host: str) -> str:
    found = _AWS.fullmatch(host)
    return f"{found['service']}.{region}{found['domain']}" if found else host


def _keys(url: SourceUrl, credentials: Credentials) -> Credentials:
    given = credentials.or_url(url)
    access, secret = given.access_key or given.user, given.secret_key or given.password
    if bool(access) != bool(secret):
        raise InvalidRequest("credentials", "***", "S3 needs both an access key and a secret key, or neither")
    return given.model_copy(update={"access_key": access, "secret_key": secret})


def _endpoint(url: SourceUrl, keys: Credentials, asked: str | None) -> SourceUrl:
    if keys.endpoint and asked and keys.endpoint.rstrip("/") != asked.rstrip("/"):
        raise SourceForbidden(url.masked, f"its credentials belong to {keys.endpoint}, not to the endpoint it names")
    server = parse_url(keys.endpoint or asked or "https://s3.amazonaws.com")
    if server.scheme not in ("http", "https") or server.user is not None or server.query:
        raise SourceForbidden(url.masked, "its endpoint is not plain http://host:port or https://host:port")
    return server


def _target(url: SourceUrl, server: SourceUrl, region: str, parameters: dict[str, str]) -> SourceUrl:
    """Return the object's http(s) URL, shown as the given s3 URL; each Amazon region has its own host."""
    key = unquote(url.path.removeprefix("/"))
    if not url.host or not key or key.endswith("/"):
        raise SourceForbidden(url.masked, "write s3://bucket/key")
    path = f"{server.path.rstrip('/')}/{url.host}/{quote(key, safe='/-_.~')}"
    version = {"versionId": parameters["versionId"]} if "versionId" in parameters else {}
    asked = {"path": path, "query": urlencode(version, quote_via=quote), "masked": url.masked}
    return server.model_copy(update=asked | {"host": _host_in(region, server.host)})


def _authorize(keys: Credentials, region: str) -> Authorize | None:
    if not keys.access_key:
        return None
    return lambda method, url: sign(method, url, keys, region, utc_now())

"""One HTTP/1.1 request and its answer (RFC 9112), redirects followed under the address policy.

Written by hand for three reasons: the address must be checked after connecting and before sending, at each hop; the
head needs one deadline; and the body must come straight from the socket (http.client copies through a buffer and waits
until it is full).
"""

import base64
import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from catalog.errors import SourceError, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.settings import Settings
from storage.sources.http.cookies import CookieJar
from storage.sources.http.head import Headers, parse_fields, status_of
from storage.sources.http.redirects import MAX_REDIRECTS, STATUSES, next_hop
from storage.sources.network.addresses import AddressPolicy
from storage.sources.network.wire import MAX_LINE, Broken, Wire, dial
from storage.sources.urls import SourceUrl

MAX_RETRY_AFTER_S = 3600.0
_RETRYABLE = (202, 408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 522, 524)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # the server's own could be anything
_FORBIDDEN = {401: "it wants other credentials", 403: "the server forbids it", 407: "a proxy wants credentials"}

Authorize = Callable[[str, SourceUrl], dict[str, str]]
"""Returns the headers that authorize a method on a URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer; its body is still on the wire."""

    status: int
    headers: Headers
    url: SourceUrl  # after redirects
    wire: Wire
    waited_s: float  # from the request to the complete head
    asked: SourceUrl  # before redirects

    def header(self, name: str) -> str:
        """Return a header's value, empty if it is absent."""
        return self.headers.first(name)


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Sends requests for one source."""

    settings: Settings
    policy: AddressPolicy
    authorize: Authorize | None = None  # only called for requests to `origin`
    origin: tuple[str, str, int] | None = None
    cookies: CookieJar = field(default_factory=CookieJar)

    def request(self, method: str, url: SourceUrl, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Send a request and follow at most 20 redirects with a Location. The caller closes `answer.wire`.

        brief: only little of the body will be read.
        Raises SourceForbidden for a redirect to a forbidden address, TransferInterrupted when the connection breaks.
        """
        first = self.request_once(method, url, headers, None, brief=brief)
        return self.follow(first, method, headers, brief=brief)

    def follow(self, answer: Answer, method: str, headers: dict[str, str], *, brief: bool = False) -> Answer:
        """Follow an answer's redirects, as `request` does."""
        asked = answer.asked
        for _ in range(MAX_REDIRECTS):
            if not redirects(answer):
                return replace(answer, asked=asked)
            answer.wire.close()
            answer = self.request_once(method, self._redirected(answer), headers, None, brief=brief)
        if not redirects(answer):
            return replace(answer, asked=asked)
        answer.wire.close()
        raise SourceForbidden(
            asked.masked,
            f"it redirects more than {MAX_REDIRECTS} times, at last to {answer.url.masked}; "
            "give the address that the download ends at",
        )

    def request_once(
        self, method: str, url: SourceUrl, headers: dict[str, str], wire: Wire | None, *, brief: bool = False
    ) -> Answer:
        """Send one request, over `wire` if there is one, and read the head of the answer."""
        line = wire or self._dial(url, brief)
        try:
            asked = time.monotonic()
            line.send(self._request_bytes(method, url, headers))
            answer = read_head(line, url, asked)
        except Broken as error:
            line.close()
            raise TransferInterrupted(url.masked, 0, str(error)) from error
        except BaseException:
            line.close()
            raise
        self.cookies.take(url.origin, answer.headers.all("Set-Cookie"))
        return answer

    def _dial(self, url: SourceUrl, brief: bool) -> Wire:
        return dial(url, self.policy, self.settings.read_timeout_s, self.settings.ca_file, brief=brief)

    def _request_bytes(self, method: str, url: SourceUrl, headers: dict[str, str]) -> bytes:
        fields = (
            {
                "Host": url.netloc,
                "User-Agent": "imagewright",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            | headers
            | self.cookies.header(url.origin)
        )
        if self.authorize is not None and url.origin == self.origin:
            fields |= self.authorize(method, url)
        lines = [f"{method} {_ascii(url.target)} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _redirected(self, answer: Answer) -> SourceUrl:
        downgrade = self.settings.allow_https_downgrade
        return next_hop(answer.url, answer.header("Location"), allow_downgrade=downgrade)


def redirects(answer: Answer) -> bool:
    """Tell whether an answer redirects to a location."""
    return answer.status in STATUSES and bool(answer.header("Location"))


def with_header(value: str) -> Authorize:
    """Return an Authorize that sends this value in the Authorization header."""
    return lambda _method, _url: {"Authorization": value}


def basic(user: str, password: str) -> str:
    """Return the value of a Basic Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _ascii(target: str) -> str:
    """Percent-encode characters typed unescaped, e.g. Chinese file names."""
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)


def read_head(wire: Wire, url: SourceUrl, asked: float) -> Answer:
    """Read status line and headers within one read timeout, skipping 1xx answers. Raises Broken, SourceForbidden."""
    wire.set_deadline(wire.timeout_s)
    while True:
        status = status_of(wire.readline())
        if status is None:
            raise SourceForbidden(url.masked, "the server does not speak HTTP/1.1")
        headers = _read_headers(wire)
        if status >= 200:
            wire.set_deadline(None)
            return Answer(status, headers, url, wire, time.monotonic() - asked, url)


def _read_headers(wire: Wire) -> Headers:
    lines = bytearray()
    while (line := wire.readline()) not in (b"\r\n", b"\n"):
        lines += line
        if len(lines) > MAX_LINE:
            raise Broken("the server sent more than 64 KiB of headers")
    return parse_fields(bytes(lines))


def refusal(answer: Answer, masked: str, offset: int = 0) -> SourceError:
    """Return the error that a refusing answer means."""
    said = f"the server answered {answer.status} {_PHRASES.get(answer.status, '')}".rstrip()
    if answer.status in (404, 410):
        return SourceNotFound(masked, said)
    if answer.status == 202:
        said += ": it is still getting the file ready; try again later"
    if answer.status in _RETRYABLE:
        return TransferInterrupted(
            masked, offset, said, retry_after_s=retry_after_s(answer.header("Retry-After"), answer.header("Date"))
        )
    why = _FORBIDDEN.get(answer.status)
    return SourceForbidden(masked, f"{said}: {why}" if why else said)


def retry_after_s(value: str, server_date: str) -> float | None:
    """Read Retry-After (seconds, or a date by the server's own clock), at most an hour."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        then = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    seconds = then - _moment(server_date)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _moment(server_date: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(server_date).timestamp()
    except (ValueError, OverflowError):  # not given, so our own delay applies
        return time.time()

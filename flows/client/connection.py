"""Send requests to one service, each with the caller's token.

No redirect is followed, so the token goes to no other host; certificates are verified; the length that an answer claims
is never trusted.
"""

import json
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.settings import Settings
from flows.client.address import LOOPBACK, PATH
from flows.client.errors import AnswerNotUnderstood, ServiceUnreachable
from flows.client.patience import asked_to_wait_s, is_limited
from flows.client.problems import refusal

MOST_JSON = 64 << 20
"""Most bytes of a JSON answer: ten times a page of 500 records with all fields."""
SENT_BYTES = 256 << 10
"""Bytes handed to the socket at once."""
MOST_WAIT_S = 60.0
"""Longest wait for one answer after asking too often."""
BLOCK_BYTES = 256 << 10
"""Bytes read at once."""
SAFE = ("GET", "HEAD")
Query: TypeAlias = Mapping[str, object]


class Answer(NamedTuple):
    """A service's answer. value: its JSON, None if there is no body."""

    status: int
    headers: Mapping[str, str]
    value: object


class Connection:
    """A connection to a service, opened on first use and kept open. url: without the API's path."""

    def __init__(self, url: str, token: str, settings: Settings) -> None:
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise InvalidRequest(
                "token", "what was given", "letters, digits and signs as `imagewright token create` shows them"
            )
        self.url, self._token = url, token
        self._connect_s, self._read_s = settings.connect_timeout_s, settings.read_timeout_s
        self._pool = _pool(url, settings)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
    ) -> Answer:
        """Return the answer to a call. body: sent as JSON; wait_s: seconds allowed beyond the usual timeout.

        Raises ServiceUnreachable, AnswerNotUnderstood, and the service's refusals.
        """
        sent = json.dumps(body).encode() if body is not None else None
        given = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        waited_s = 0.0
        while True:
            try:
                with self.opened(method, path, query=query, content=sent, headers=given, wait_s=wait_s) as answer:
                    return Answer(answer.status, answer.headers, self._json(answer, path))
            except ImagewrightError as error:
                waited_s += _wait(error, MOST_WAIT_S - waited_s)

    @contextmanager
    def opened(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
        also: Sequence[int] = (),
    ) -> Iterator[BaseHTTPResponse]:
        """Yield an answer whose body is still unread (`blocks`). also: error statuses that count as answers here.

        Raises as `ask`.
        """
        answer = self._sent(method, path, query, content, headers or {}, wait_s)
        try:
            if answer.status >= 300 and answer.status not in also:
                self._refuse(answer, path)
            yield answer
        finally:
            answer.close()  # a body read in full has already released its connection

    def _sent(
        self,
        method: str,
        path: str,
        query: Query | None,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
        wait_s: float,
    ) -> BaseHTTPResponse:
        everybodys = {"Accept-Encoding": "identity", "User-Agent": "imagewright"}
        signed = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        limits = Timeout(connect=self._connect_s, read=self._read_s + wait_s)

        def once() -> BaseHTTPResponse:
            return self._pool.request(
                method,
                self.address(path, query),
                body=content,
                headers={**everybodys, **signed, **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=limits,
            )

        with self._told_of_trouble():
            try:
                return once()
            except ProtocolError:  # the service may close a kept connection just as it is reused
                if method not in SAFE:
                    raise
                return once()

    def address(self, path: str, query: Query | None = None) -> str:
        """Return the address of a path of the API."""
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        asked = f"?{urlencode(given, doseq=True)}" if given else ""
        return f"{self.url}{PATH}{path}{asked}"

    def blocks(self, answer: BaseHTTPResponse, most: int | None = None) -> Iterator[bytes]:
        """Yield the body as it arrives, at most so many bytes of it. Raises ServiceUnreachable if it breaks off."""
        left = most
        while left is None or left > 0:
            with self._told_of_trouble():
                block = answer.read1(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
            if not block:
                return
            yield block
            left = None if left is None else left - len(block)

    def _json(self, answer: BaseHTTPResponse, path: str) -> object:
        raw = b"".join(self.blocks(answer, MOST_JSON + 1))
        if len(raw) > MOST_JSON:
            raise AnswerNotUnderstood(self.address(path), f"more than {MOST_JSON} bytes")
        if not raw:
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if not kind.endswith("json"):
            raise AnswerNotUnderstood(self.address(path), f"with {kind or 'something'!r} instead of JSON")
        try:
            value: object = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise AnswerNotUnderstood(self.address(path), "what is no JSON") from error
        return value

    def _refuse(self, answer: BaseHTTPResponse, path: str) -> None:
        if answer.status < 400:
            place = answer.headers.get("Location", "")
            raise AnswerNotUnderstood(self.address(path), f"with a redirect to {place!r}, which is not followed")
        is_json = answer.headers.get("Content-Type", "").partition(";")[0].endswith("json")
        said = self._json(answer, path) if is_json else None
        raise refusal(self.url, answer.status, said, _seconds(answer.headers.get("Retry-After", "")))

    @contextmanager
    def _told_of_trouble(self) -> Iterator[None]:
        """Raise ServiceUnreachable for every error of the connection."""
        try:
            yield
        except LocationParseError as error:
            raise InvalidRequest("url", self.url, "an address such as https://images.example") from error
        except (HTTPError, OSError) as error:
            reached = not isinstance(error, NewConnectionError | ConnectTimeoutError | SSLError | ProxyError)
            raise ServiceUnreachable(self.url, _reason(error), was_reached=reached) from error

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def _wait(error: ImagewrightError, most_s: float) -> float:
    """Wait as long as a rate-limiting service asks, and return the seconds. Raises every other error."""
    asked_s = asked_to_wait_s(error)
    if not is_limited(error) or not 0 < asked_s <= most_s:
        raise error
    time.sleep(asked_s)
    return asked_s


def segment(name: str) -> str:
    """Return a name quoted as one segment of a path."""
    return quote(name, safe="").replace(".", "%2E") if name.strip(".") == "" else quote(name, safe="")


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return [str(one) for one in value] if isinstance(value, tuple | list) else str(value)


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None


def _pool(url: str, settings: Settings) -> PoolManager:
    """Return a connection pool for a host, through the proxy that the environment names for it."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    context = _trusted(settings) if parts.scheme == "https" else None
    proxy = None if name in LOOPBACK or proxy_bypass(name) else getproxies().get(parts.scheme)
    if proxy:
        return ProxyManager(proxy, maxsize=2, ssl_context=context, blocksize=SENT_BYTES)
    return PoolManager(maxsize=2, ssl_context=context, blocksize=SENT_BYTES)


def _trusted(settings: Settings) -> ssl.SSLContext:
    """Return the system's certificate authorities plus the setting's.

    Raises InvalidRequest for a file without a certificate.
    """
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InvalidRequest(
                "IMAGEWRIGHT_CA_FILE", str(settings.ca_file), f"a PEM file of certificates ({reason})"
            ) from error
    return context


def _reason(error: Exception) -> str:
    """Return in a few words why there was no answer."""
    if isinstance(error, ReadTimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return "no connection in time"
    last = _last(error)
    if isinstance(last, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {last.verify_message}; IMAGEWRIGHT_CA_FILE names a private authority"
    said = last.strerror if isinstance(last, OSError) and last.strerror else str(last)
    return " ".join(said.split()) or type(last).__name__


def _last(error: BaseException) -> BaseException:
    """Return the innermost cause of an error."""
    while isinstance(below := error.__cause__ or (error.args[-1] if error.args else None), BaseException):
        error = below
    return error

"""Small documents over HTTP, fetched only if they changed (RFC 9110, section 13), under the limits of sources."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from catalog.errors import SourceForbidden, TransferInterrupted
from catalog.settings import Settings
from storage.sources.credentials import parse_credentials
from storage.sources.http.answers import MAX_VALIDATOR, WHOLE, length
from storage.sources.http.body import body_of
from storage.sources.http.exchange import Answer, refusal
from storage.sources.http.source import open_http
from storage.sources.http.stream import HttpStream, decoded
from storage.sources.network.wire import Broken
from storage.sources.streams import read_up_to
from storage.sources.urls import SourceUrl, parse_url

UNCHANGED = 304


@dataclass(frozen=True, slots=True)
class Known:
    """The validators of a known document. Empty: fetch it in any case."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the request headers that exclude this version."""
        said = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Head:
    """A server's description of a document. url: its address after redirects."""

    url: SourceUrl
    known: Known
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Document(Head):
    """A complete document."""

    data: bytes

    @property
    def digest(self) -> str:
        """Return its SHA-256, hex."""
        return hashlib.sha256(self.data).hexdigest()


NEW = Known()
H = TypeVar("H", bound=Head)


def fetch(url: str, settings: Settings, most_bytes: int, known: Known = NEW) -> Document | None:
    """Return a document, None if it is the known one. Raises as sources do; SourceForbidden for a larger one."""

    def whole(answer: Answer, masked: str) -> Document:
        data = _body(answer, settings, masked, most_bytes)
        return Document(answer.url, _known(answer), len(data), data)

    return _asked(url, settings, known, whole)


def look(url: str, settings: Settings, known: Known = NEW) -> Head | None:
    """Return a server's description of a file, None if it is the known one. No body is read."""
    return _asked(url, settings, known, lambda answer, _: Head(answer.url, _known(answer), length(answer)))


def _asked(url: str, settings: Settings, known: Known, read: Callable[[Answer, str], H]) -> H | None:
    """Return what is read of an answer, None where nothing changed. read: given the answer and the URL without secrets."""
    parsed = parse_url(url)
    answer = _ask(parsed, settings, known)
    with closing(answer.wire):
        if answer.status == UNCHANGED and known != NEW:
            return None
        if answer.status not in WHOLE:
            raise refusal(answer, parsed.masked)
        try:
            return read(answer, parsed.masked)
        except Broken as error:
            raise TransferInterrupted(parsed.masked, 0, str(error)) from error


def _ask(url: SourceUrl, settings: Settings, known: Known) -> Answer:
    if url.scheme not in ("http", "https"):
        raise SourceForbidden(url.masked, "only http:// and https:// are watched")
    return open_http(url, settings, parse_credentials(None)).client.request("GET", url, known.headers, brief=True)


def _body(answer: Answer, settings: Settings, masked: str, most_bytes: int) -> bytes:
    body = body_of(answer)
    stream, _ = decoded(HttpStream(answer, body, 0, body.length, settings, masked), answer, 0, settings, masked)
    data = read_up_to(stream, most_bytes + 1)
    if len(data) > most_bytes:
        raise SourceForbidden(masked, f"it has more than {most_bytes} bytes, which no list of builds has")
    return data


def _known(answer: Answer) -> Known:
    return Known(_shown(answer.header("ETag")), _shown(answer.header("Last-Modified")))


def _shown(value: str) -> str | None:
    """Return a validator that can be stored and sent again, or None."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= MAX_VALIDATOR else None

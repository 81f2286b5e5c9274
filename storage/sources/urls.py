"""Parse source URLs strictly: one spelling, one meaning. What two parsers could read differently is refused.

Syntax: RFC 3986; why strictness matters here: an allow-list is only as good as the agreement between the code that
checks a host and the code that connects to it.
"""

import ipaddress
import re
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field

from catalog.errors import SourceForbidden
from catalog.records import Record
from catalog.rules.storages.sources import SCHEMES, scheme_of
from storage.sources.masking import mask
from storage.uploads import ID

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"`{}|^]|\s")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


class SourceUrl(Record):
    """A parsed URL. `user` and `password` are decoded; `path` and `query` are as written."""

    scheme: str
    user: str | None = Field(default=None, repr=False)
    password: str | None = Field(default=None, repr=False)
    host: str  # lower case; IPv6 without brackets
    port: int
    path: str
    query: str = Field(default="", repr=False)
    masked: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are bound to."""
        return self.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES[self.scheme].port else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query as a request line has them."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def location(self) -> str:
        """The URL without userinfo, to resolve a relative redirect against."""
        return f"{self.scheme}://{self.netloc}{self.target}"

    @property
    def decoded_path(self) -> str:
        """The path with its escapes undone."""
        return unquote(self.path, errors="surrogateescape")


def parse_url(url: str) -> SourceUrl:
    """Take a URL apart; a plain space behind the host is taken as %20. Raises SourceForbidden, naming what is wrong with the spelling."""
    masked, url = mask(url), _spaced(url)
    try:
        _require_clean(url)
        parts = urlsplit(url)
        userinfo, at, hostport = parts.netloc.rpartition("@")
        user, colon, password = userinfo.partition(":")
        host, port = _split_port(hostport, SCHEMES[parts.scheme].port)
        return SourceUrl(
            scheme=parts.scheme,
            user=unquote(user) if at else None,
            password=unquote(password) if colon else None,
            host=_host(parts.scheme, host),
            port=port,
            path=parts.path,
            query=parts.query,
            masked=masked,
        )
    except ValueError as error:
        raise SourceForbidden(masked, str(error)) from None


def check_spelling(url: str) -> None:
    """Raise SourceForbidden for an address that nobody could open. One without a scheme is no address yet: `check_source` says so."""
    try:
        parse_url(url)
    except SourceForbidden:
        if scheme_of(url):
            raise


def _spaced(url: str) -> str:
    """Escape spaces in the path and query of a URL: there they mean nothing else."""
    head = re.match(r"[^:/?#]*://[^/?#]*", url)
    return url if head is None else head[0] + url[head.end() :].replace(" ", "%20")


def _odd(character: str) -> str:
    """Name a character that must be escaped, and how."""
    shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
    return f"it has the character {shown}, which must be written as {quote(character, safe='')}"


def _require_clean(url: str) -> None:
    scheme = url[: max(url.find(":"), 0)].lower()
    if scheme not in SCHEMES:
        raise ValueError(f"scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
    if not url[len(scheme) :].startswith("://"):
        raise ValueError(f"after {scheme}: there must be exactly //")
    if (odd := _FORBIDDEN.search(url)) is not None:
        raise ValueError(_odd(odd[0]))
    if "#" in url:
        raise ValueError("it has a fragment; write a # in a name as %23")
    if re.search(r"%(?![0-9A-Fa-f]{2})", url):
        raise ValueError("it has a % that is no escape; write it as %25")
    authority = re.split(r"[/?]", url[len(scheme) + 3 :], maxsplit=1)[0]
    if authority.count("@") > 1:
        raise ValueError("it has more than one @ before the path; write an @ in a password as %40")


def _split_port(hostport: str, default: int) -> tuple[str, int]:
    host, port = hostport, ""
    if not hostport.endswith("]"):
        host, colon, port = hostport.rpartition(":")
        if not colon:
            return hostport, default
    if not port:
        return host, default
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError("its port is not a number from 1 to 65535")
    return host, int(port)


def _host(scheme: str, host: str) -> str:
    if scheme == "file":
        if host not in ("", "localhost"):
            raise ValueError("a file is on this host: write file:///absolute/path")
        return ""
    if scheme == "upload":
        if not ID.match(host):
            raise ValueError("an upload is named by its id, a UUID")
        return host
    if scheme == "s3":
        return host  # a bucket; the endpoint is checked when it is connected to
    if host.startswith("[") and host.endswith("]"):
        return _literal_v6(host[1:-1])
    return _literal_v4(host) or _name(host)


def _literal_v6(text: str) -> str:
    if "%" in text:
        raise ValueError("its IPv6 address has a zone")
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f"[{text}] is not an IPv6 address") from None


def _literal_v4(host: str) -> str | None:
    """Return a dotted quad; None for a name; refuse whatever else some resolvers read as an address."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    if not (re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last)):
        return None
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError(
            f"{host} is an odd notation of an address; write four decimal numbers without leading zeros"
        ) from None


def _name(host: str) -> str:
    if not host:
        raise ValueError("it has no host")
    labels = host.split(".")
    ascii_labels = labels if host.isascii() else [label if label.isascii() else _punycode(label) for label in labels]
    if len(host) > 253 or not all(_LABEL.match(label) for label in ascii_labels):
        raise ValueError(f"{host!r} is not a host name")
    return ".".join(ascii_labels).lower()


def _punycode(label: str) -> str:
    """Encode an international label; a lookalike that folds into plain ASCII (full-width digits) is refused."""
    try:
        encoded = label.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{label!r} is not a host name") from None
    if not encoded.startswith("xn--"):
        raise ValueError(f"{label!r} is a lookalike of {encoded!r}; write the latter")
    return encoded

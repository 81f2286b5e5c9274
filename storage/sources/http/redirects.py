"""Targets of HTTP redirects: odd spellings are corrected as browsers and curl do, forbidden targets are refused.

The correction changes only path and query. A host is never guessed: ambiguous ones are refused, and each hop is checked
against the address policy when it is connected to.
"""

import re
from urllib.parse import urljoin

from catalog.errors import SourceForbidden
from catalog.rules.storages.sources import scheme_of
from storage.sources.masking import mask
from storage.sources.urls import SourceUrl, parse_url

MAX_REDIRECTS = 20
STATUSES = (300, 301, 302, 303, 307, 308)
_PARTS = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.\-]*:)?//[^/?]*)?(.*)\Z", re.DOTALL)
_ODD = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


def corrected(location: str) -> str:
    """Return a Location with everything escaped that must be, without its fragment.

    location: one character per byte, as in `Headers`. A backslash is a character of a name here, never a slash: as a
    slash it could name another host.
    """
    authority, rest = _PARTS.match(location.strip().partition("#")[0]).groups()  # type: ignore[union-attr]  # it matches anything
    return _in_utf8(authority or "") + _ODD.sub(lambda odd: f"%{ord(odd[0]):02X}", rest)


def next_hop(asked: SourceUrl, location: str, *, allow_downgrade: bool) -> SourceUrl:
    """Return the target of a redirect from `asked`.

    Raises SourceForbidden if it is not http(s), names a user, or leaves TLS.
    """
    target = corrected(location)
    try:
        target = urljoin(asked.location, target)
    except ValueError as error:  # Python's error for an invalid IPv6 address
        raise SourceForbidden(asked.masked, f"it redirects to {_shown(location)!r}, which is no URL") from error
    if not location or scheme_of(target) not in ("http", "https"):
        raise SourceForbidden(asked.masked, f"it redirects to {_shown(target)!r}, which is not http or https")
    url = parse_url(target)
    if url.user is not None:
        raise SourceForbidden(asked.masked, f"it redirects to {url.masked}, which names a user")
    if (asked.scheme, url.scheme) == ("https", "http") and not allow_downgrade:
        raise SourceForbidden(asked.masked, f"it redirects from https to {url.masked}, which is not encrypted")
    return url


def _in_utf8(text: str) -> str:
    """Decode an international host name, which is sent as UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _shown(text: str) -> str:
    return mask(text)[:300]

"""The links of an HTML listing (by nginx, Apache, lighttpd): names in its folder, and links that lead elsewhere."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from catalog.errors import SourceForbidden
from storage.sources.urls import SourceUrl, parse_url

MOST_LINKS = 100_000
LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page.

    name: of a file or folder in the page's own folder, decoded, without a slash; elsewhere: it leads out of the folder.
    """

    name: str
    url: str
    folder: bool
    elsewhere: bool


def links(page: bytes, at: SourceUrl) -> tuple[Link, ...]:
    """Return the links of a page that name something, each name once. at: its address. Raises SourceForbidden."""
    parser = _Anchors()
    parser.feed(page.decode("utf-8", "replace"))
    if len(parser.found) > MOST_LINKS:
        raise SourceForbidden(at.masked, f"it has more than {MOST_LINKS} links, which no listing has")
    return tuple({link.name: link for link in _read(parser.found, at)}.values())


def _read(found: list[str], at: SourceUrl) -> Iterator[Link]:
    base = at.location.partition("?")[0]
    folder = base[: base.rindex("/") + 1] if base.count("/") > 2 else f"{base}/"
    for href in found:
        try:
            target = urljoin(folder, href.strip())
            parts = urlsplit(target)
        except ValueError:  # Python's error for an invalid address
            continue
        if parts.query or parts.scheme not in ("http", "https"):  # Apache's column headers link to the page itself
            continue
        name = posixpath.basename(unquote(parts.path.rstrip("/")))
        if name and name.isprintable() and "\\" not in name and "/" not in name:
            plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
            yield Link(name, plain, parts.path.endswith("/"), not _lies_in(plain, folder, name))


def _lies_in(url: str, folder: str, name: str) -> bool:
    """Tell whether an address is that of a name in a folder, on the same server, with any escaping."""
    try:
        one, other = parse_url(url), parse_url(folder)
    except SourceForbidden:
        return False
    inside = unquote(one.path) == f"{unquote(other.path)}{name}" or unquote(one.path) == f"{unquote(other.path)}{name}/"
    return one.user is None and one.origin == other.origin and inside


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs if tag == "a" else ():
            if name == "href" and value and len(value) <= LONGEST and len(self.found) <= MOST_LINKS:
                self.found.append(value)

"""Links of listing pages, as servers make them, and of pages that mean no good."""

import random

import pytest

from catalog.errors import SourceForbidden
from storage.sources.urls import parse_url
from storage.sources.watched.links import links

AT = parse_url("https://example.org/images/x/?C=M;O=D")
APACHE = b"""<html><body><h1>Index of /images/x</h1><table><tr><th><a href="?C=N;O=D">Name</a></th></tr>
<tr><td><a href="/images/">Parent Directory</a></td></tr><tr><td><a href="20240507-1740/">20240507-1740/</a></td></tr>
<tr><td><a href="os-1.0.img">os-1.0.img</a></td></tr></table></body></html>"""
NGINX = b"""<html><head><title>Index of /</title></head><body><pre><a href="../">../</a>
<a href="20240507-1740/">20240507-1740/</a>  07-May <a href="os-1.0.img">os-1.0.img</a></pre></body></html>"""


@pytest.mark.parametrize("page", [APACHE, NGINX], ids=["apache", "nginx"])
def test_what_lies_in_the_folder_is_found(page: bytes) -> None:
    inside = [(link.name, link.folder, link.url) for link in links(page, AT) if not link.elsewhere]
    assert inside == [
        ("20240507-1740", True, "https://example.org/images/x/20240507-1740/"),
        ("os-1.0.img", False, "https://example.org/images/x/os-1.0.img"),
    ]


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.example/images/x/os-1.0.img", "//evil.example/images/x/os-1.0.img", "/os-1.0.img", "../y/os-1.0.img",
        "http://example.org/images/x/os-1.0.img", "https://example.org:444/images/x/os-1.0.img",
        "https://user@example.org/images/x/os-1.0.img", "y/os-1.0.img", "https://example.org/images/x/../../os-1.0.img",
        "%2e%2e/os-1.0.img",
    ],
)  # fmt: skip
def test_what_leads_elsewhere_says_so(href: str) -> None:
    (link,) = links(f'<a href="{href}">os</a>'.encode(), AT)
    assert link.name == "os-1.0.img"
    assert link.elsewhere


@pytest.mark.parametrize(
    "href", ["javascript:x", "mailto:a@b", "?C=N", "", "#top", "http://[bad", "a\\b", "data:text/html,x"]
)
def test_what_names_no_file_is_passed_over(href: str) -> None:
    assert [link for link in links(f'<a href="{href}">x</a>'.encode(), AT) if not link.elsewhere] == []


def test_escaped_names_are_the_same_file() -> None:
    (link,) = links(b'<a href="os%2D1.0.img">x</a>', AT)
    assert (link.name, link.elsewhere) == ("os-1.0.img", False)


def test_hostile_pages_raise_nothing_else() -> None:
    rng = random.Random(5)
    for _ in range(300):
        page = bytearray(APACHE * 2)
        for _ in range(rng.randrange(1, 40)):
            page[rng.randrange(len(page))] = rng.randrange(256)
        links(bytes(page), AT)
    with pytest.raises(SourceForbidden, match="more than 100000 links"):
        links(b'<a href="x">' * 100_002, AT)

"""Simplestreams indexes, as published by Ubuntu, LXD and Incus (formats index:1.0 and products:1.0).

An index names product files; a product has versions, a version has items, each with its path and SHA-256. Paths are
relative to the parent folder of `streams/`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from catalog.errors import SourceForbidden
from storage.sources.urls import SourceUrl, parse_url

IMAGES = "image-downloads"
MOST_ITEMS = 200_000
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a version. path: relative to the root; arch: in the product's spelling, "" if not given."""

    version: str
    path: str
    arch: str
    sha256: str


def root_of(index: SourceUrl) -> str:
    """Return the folder to which an index's paths are relative. Raises SourceForbidden if it is not in `streams/`."""
    before, found, _ = index.location.partition("?")[0].rpartition("/streams/")
    if not found:
        raise SourceForbidden(index.masked, "the address of a simplestreams index has /streams/ in it")
    return f"{before}/"


def within(root: str, path: str, masked: str) -> str:
    """Return the address of a path below the root. Raises SourceForbidden if it leads elsewhere."""
    parts = unquote(path).split("/")
    if not path.isprintable() or set(path) & set("\\?#") or any(part in ("", ".", "..") for part in parts):
        raise SourceForbidden(masked, f"it names the path {path[:100]!r}, which leads elsewhere")
    return parse_url(root + path).location


def products_in(data: bytes, masked: str) -> tuple[str, ...]:
    """Return the paths of the product files in an index. Raises SourceForbidden."""
    index = _object(_parsed(data, masked, "index:1.0").get("index"))
    entries = (_object(entry) for entry in index.values())
    return tuple(_text(e.get("path")) for e in entries if e.get("datatype", IMAGES) == IMAGES and _text(e.get("path")))


def items_in(data: bytes, masked: str) -> Iterator[Item]:
    """Yield every item with a path and a SHA-256. Raises SourceForbidden."""
    count = 0
    for product in _object(_parsed(data, masked, "products:1.0").get("products")).values():
        arch, versions = _text(_object(product).get("arch")), _object(_object(product).get("versions"))
        for version, found in versions.items():
            for item in _object(_object(found).get("items")).values():
                count += 1
                if count > MOST_ITEMS:
                    raise SourceForbidden(masked, f"it has more than {MOST_ITEMS} items")
                path, sha256 = _text(_object(item).get("path")), _text(_object(item).get("sha256")).lower()
                if path and len(sha256) == 64 and _HEX.issuperset(sha256):
                    yield Item(version, path, arch, sha256)


def _parsed(data: bytes, masked: str, expected: str) -> Mapping[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceForbidden(masked, "it is no JSON") from error
    if not isinstance(found, dict) or found.get("format") != expected:
        raise SourceForbidden(masked, f"it is not of simplestreams' format {expected}")
    return found


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

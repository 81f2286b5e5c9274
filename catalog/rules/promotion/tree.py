"""Published families as a simplestreams tree (index:1.0, products:1.0), one product per family and architecture.

A version is a usable build: in a family with promotions one that was promoted and not rolled back, otherwise every
Ready one. The newest version is the latest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from catalog.records import Image, Record
from catalog.rules.images.naming import file_name
from catalog.rules.promotion.history import channel_of
from catalog.rules.promotion.patterns import NAMES

INDEX, PRODUCTS = "streams/v1/index.json", "streams/v1/images.json"
CONTENT_ID = "imagewright:images"
KINDS: Mapping[str, str] = {"qcow2": "disk1.img", "raw": "disk.raw", "vmdk": "disk.vmdk", "iso": "disk.iso"}
"""Format of a stored file → the item's name for simplestreams clients (Ubuntu's names)."""


class Handed(Record):
    """A published build: its image and its stored file."""

    image: Image
    format: str
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return file_name(self.image.name, self.image.version, self.format)

    @property
    def path(self) -> str:
        """The path of its file below the root of the tree, by its digest."""
        return entry(self.image.family or "", self.sha256, self.name)


def entry(family: str, digest: str, name: str, room: str = "images") -> str:
    """Return the path of a file below the root of the tree."""
    return f"{room}/{quote(family, safe='')}/{digest}/{quote(name, safe='')}"


def index_of(
    handed: Sequence[Handed], others: Mapping[str, tuple[str, Sequence[Handed]]] | None = None
) -> dict[str, object]:
    """Return the index of the tree. others: further files of products: id → path and contents."""
    files = {CONTENT_ID: (PRODUCTS, handed), **{name: one for name, one in (others or {}).items() if one[1]}}
    return {
        "format": "index:1.0", "updated": updated(handed), "index": {name: _named(*one) for name, one in files.items()},
    }  # fmt: skip


def _named(path: str, handed: Sequence[Handed]) -> dict[str, object]:
    return {
        "datatype": "image-downloads", "format": "products:1.0", "path": path, "updated": updated(handed),
        "products": sorted({product_name(one) for one in handed}),
    }  # fmt: skip


def products_of(handed: Sequence[Handed]) -> dict[str, object]:
    """Return the products of the tree, with their versions and items."""
    products: dict[str, dict[str, object]] = {}
    versions: dict[str, dict[str, object]] = {}
    for one in handed:
        name = product_name(one)
        arch = _arch(one.image)
        family = one.image.family or ""
        about = {"arch": arch, "os": one.image.os or family, "release": family, "version": family, "aliases": family}
        products.setdefault(name, {**about, "versions": versions.setdefault(name, {})})
        kind = KINDS.get(one.format, f"disk.{one.format}")
        item = {"ftype": kind, "path": one.path, "size": one.size_bytes, "sha256": one.sha256}
        versions[name][_serial(one.image, versions[name])] = {"items": {kind: item}}
    return {
        "format": "products:1.0", "datatype": "image-downloads", "content_id": CONTENT_ID, "updated": updated(handed),
        "products": products,
    }  # fmt: skip


def product_name(one: Handed) -> str:
    """Return the name of a build's product."""
    return f"imagewright:{one.image.family}:{_arch(one.image)}"


def _arch(image: Image) -> str:
    return NAMES[image.cpu_architecture][1] if image.cpu_architecture else channel_of(image)


def _serial(image: Image, taken: Iterable[str]) -> str:
    """Return a build's version in its product; if it is taken, the moment of the add makes it unique."""
    version = re.sub(r"[^0-9A-Za-z.+~:_-]", "-", image.build_version or f"{image.created_at:%Y%m%d.%H%M%S}")
    return f"{version}.{image.created_at:%Y%m%d%H%M%S%f}" if version in taken else version


def updated(handed: Sequence[Handed]) -> str:
    """Return the moment of the latest change among builds, in the documents' format."""
    newest: datetime | None = max((one.image.updated_at for one in handed), default=None)
    return format_datetime(newest) if newest else "Thu, 01 Jan 1970 00:00:00 +0000"

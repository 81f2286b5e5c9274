"""What families hand on, as a simplestreams tree (formats index:1.0 and products:1.0): one product a family and architecture.

A version is a build that can be used: of a family that promotes one that was promoted and not gone back from, else every one that is
Ready. The newest version is the latest.
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
"""Format of a stored file → what simplestreams clients call such an item (Ubuntu's names)."""


class Handed(Record):
    """A build that is handed on: its image, and the file that the storages keep of it."""

    image: Image
    format: str
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """What its file is called."""
        return file_name(self.image.name, self.image.version, self.format)

    @property
    def path(self) -> str:
        """Where it lies below the root of the tree, by its digest."""
        return entry(self.image.family or "", self.sha256, self.name)


def entry(family: str, digest: str, name: str, room: str = "images") -> str:
    """Return where a file lies below the root of the tree."""
    return f"{room}/{quote(family, safe='')}/{digest}/{quote(name, safe='')}"


def index_of(
    handed: Sequence[Handed], others: Mapping[str, tuple[str, Sequence[Handed]]] | None = None
) -> dict[str, object]:
    """Return the index of the tree. others: more files of products, by their ids: where each lies, and what it has."""
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
    """Return the name of the product that a build is a version of."""
    return f"imagewright:{one.image.family}:{_arch(one.image)}"


def _arch(image: Image) -> str:
    return NAMES[image.cpu_architecture][1] if image.cpu_architecture else channel_of(image)


def _serial(image: Image, taken: Iterable[str]) -> str:
    """Return the version by which a build is known in its product: two of one version are told apart by when they came."""
    version = re.sub(r"[^0-9A-Za-z.+~:_-]", "-", image.build_version or f"{image.created_at:%Y%m%d.%H%M%S}")
    return f"{version}.{image.created_at:%Y%m%d%H%M%S%f}" if version in taken else version


def updated(handed: Sequence[Handed]) -> str:
    """Return when the newest of some builds changed, as documents say it."""
    newest: datetime | None = max((one.image.updated_at for one in handed), default=None)
    return format_datetime(newest) if newest else "Thu, 01 Jan 1970 00:00:00 +0000"

"""Published families as Incus and LXD read them: a simplestreams tree of its own, since they require more.

| required | provided |
|---|---|
| a disk in qcow2, `disk-kvm.img` | system images stored as qcow2; others are not offered |
| an archive with `metadata.yaml` (architecture, creation_date, properties), `incus.tar.xz`, for LXD `lxd.tar.xz` | made from the record, the same bytes each time |
| the SHA-256 of archive and disk together, which identifies an image | `combined_disk-kvm-img_sha256`, computed where the disk may be read |
| versions that begin with a date | the moment the image was added, in UTC |

The archive has only fields that are never edited, except for the OS: with another OS it is another image.
"""

import io
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from hashlib import sha256

import yaml

from catalog.records import Architecture, Record
from catalog.rules.promotion.patterns import NAMES
from catalog.rules.promotion.tree import Handed, entry, product_name, updated

ROOM, PRODUCTS, CONTENT_ID = "incus", "streams/v1/incus.json", "imagewright:incus"
METADATA, DISK = ("incus.tar.xz", "lxd.tar.xz"), "disk-kvm.img"
COMBINED = "combined_disk-kvm-img_sha256"
ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "aarch64", "loongarch64")
FILTERS = [{
    "id": lzma.FILTER_LZMA2, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 64,
    "depth": 16,
}]  # fmt: skip
"""Explicit compressor options instead of a preset, so that every host makes the same bytes."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A build as offered to Incus. metadata: the archive; combined: SHA-256 over archive and disk, hex."""

    handed: Handed
    metadata: bytes
    combined: str


class _Told(Record):
    """The contents of an archive's metadata."""

    architecture: Architecture
    creation_date: int
    properties: tuple[tuple[str, str], ...]


def is_for_incus(one: Handed) -> bool:
    """Tell whether Incus can use a build."""
    image = one.image
    return one.format == "qcow2" and image.image_type == "System" and image.cpu_architecture in ARCHITECTURES


def metadata_of(one: Handed) -> bytes:
    """Return the metadata archive of a build that Incus can use."""
    image, arch = one.image, one.image.cpu_architecture
    assert arch is not None
    family = image.family or ""
    said = {
        "architecture": NAMES[arch][1], "description": f"{family} {image.build_version or serial_of(one)} ({NAMES[arch][1]})", "name": family,
        "os": image.os or family, "release": family, "serial": serial_of(one),
    }  # fmt: skip
    return _archive(
        _Told(architecture=arch, creation_date=int(image.created_at.timestamp()), properties=tuple(said.items()))
    )


@lru_cache(1024)
def _archive(told: _Told) -> bytes:
    text = yaml.safe_dump({**told.model_dump(), "properties": dict(told.properties)}, allow_unicode=True).encode()
    entry, target = tarfile.TarInfo("metadata.yaml"), io.BytesIO()
    entry.size, entry.mtime, entry.mode = len(text), told.creation_date, 0o644
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as made:
        made.addfile(entry, io.BytesIO(text))
    return lzma.compress(target.getvalue(), lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=FILTERS)


def serial_of(one: Handed) -> str:
    """Return a build's version for Incus: the moment it was added."""
    return f"{one.image.created_at.astimezone(UTC):%Y%m%d_%H%M%S}"


def metadata_path(family: str, digest: str) -> str:
    """Return where an archive lies below the root of the tree."""
    return entry(family, digest, METADATA[0], ROOM)


def products_of(offered: Sequence[Offered]) -> dict[str, object]:
    """Return the products for Incus."""
    versions: dict[str, dict[str, object]] = {}
    products: dict[str, object] = {}
    for one in sorted(offered, key=lambda o: o.handed.image.created_at):
        name, image, family = product_name(one.handed), one.handed.image, one.handed.image.family or ""
        about = {
            "arch": name.rpartition(":")[2],
            "os": image.os or family,
            "release": family,
            "release_title": family,
            "aliases": family,
        }
        found = versions.setdefault(name, {})
        products[name] = {**about, "version": family, "versions": found}
        serial = serial_of(one.handed)
        found[f"{serial}.{len(found)}" if serial in found else serial] = {"items": _items(one)}
    return {
        "format": "products:1.0", "datatype": "image-downloads", "content_id": CONTENT_ID, "products": products,
        "updated": updated([one.handed for one in offered]),
    }  # fmt: skip


def _items(one: Offered) -> Mapping[str, Mapping[str, object]]:
    digest = sha256(one.metadata).hexdigest()
    archive = {
        "path": metadata_path(one.handed.image.family or "", digest), "size": len(one.metadata), "sha256": digest, COMBINED: one.combined,
    }  # fmt: skip
    disk = {"ftype": DISK, "path": one.handed.path, "size": one.handed.size_bytes, "sha256": one.handed.sha256}
    return {**{name: {"ftype": name, **archive} for name in METADATA}, DISK: disk}

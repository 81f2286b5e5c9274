"""Kinds of storage, one row each: formats kept, URL schemes, accepted sources.

| | raw | qcow2 | vmdk | iso | a source on the storage's own host |
|---|---|---|---|---|---|
| ImageStore keeps | raw | qcow2 | qcow2 | iso | yes |
| Ceph keeps | raw | raw | raw | iso | no: its host keeps objects, not files |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from catalog.errors import InvalidRequest
from catalog.records import ImageFormat, PrimaryKind, StorageKind
from catalog.rules.storages.sources import SCHEMES, SOURCE_RULE, UPLOAD, scheme_of

ANYWHERE = tuple(scheme for scheme, rules in SCHEMES.items() if not rules.on_host)


@dataclass(frozen=True, slots=True)
class ImageStorageRules:
    """Rules for all image storages of a kind.

    stored_as: the format kept, by the format added. url_schemes: of its own address. source_schemes: of images added to
    it. frees_on_delete: deleting a replica frees its bytes at once; otherwise a reclaim does. deduplicates: bytes that
    it has already take no space, so an image's need is known only once it is written.
    """

    stored_as: Mapping[ImageFormat, ImageFormat]
    url_schemes: tuple[str, ...]
    source_schemes: tuple[str, ...]
    frees_on_delete: bool
    deduplicates: bool


@dataclass(frozen=True, slots=True)
class PrimaryStorageRules:
    """Rules for all primary storages of a kind.

    url_schemes: of its address. volume: made from a cached image as this.
    """

    url_schemes: tuple[str, ...]
    volume: Literal["overlay", "clone"]


def _keeping(*kept: ImageFormat, others: ImageFormat) -> Mapping[ImageFormat, ImageFormat]:
    """Return the stored format of each format. kept: formats that are not converted."""
    return {added: added if added in kept else others for added in get_args(ImageFormat)}


KINDS: Mapping[StorageKind, ImageStorageRules] = {
    "imagestore": ImageStorageRules(
        stored_as=_keeping("raw", "qcow2", "iso", others="qcow2"),
        url_schemes=("file", "s3", "https"),
        source_schemes=tuple(SCHEMES),
        frees_on_delete=False,
        deduplicates=True,
    ),
    "ceph": ImageStorageRules(
        stored_as=_keeping("raw", "iso", others="raw"),  # a guest must be able to boot from a clone of it
        url_schemes=("rbd",),
        source_schemes=ANYWHERE,
        frees_on_delete=True,
        deduplicates=False,
    ),
}
PRIMARY_KINDS: Mapping[PrimaryKind, PrimaryStorageRules] = {
    "local": PrimaryStorageRules(url_schemes=("file",), volume="overlay"),
    "ceph": PrimaryStorageRules(url_schemes=("rbd",), volume="clone"),
}


def check_sources(urls: Sequence[str], storages: Mapping[str, StorageKind]) -> None:
    """Raise InvalidRequest unless every storage may take an image from these addresses, mirrors of each other.

    urls: without secrets. storages: as for `check_source`.
    """
    for url in urls:
        check_source(url, storages)
    sent = any(url.lower().startswith(f"{UPLOAD}:") for url in urls)
    if sent and (len(urls) > 1 or not urls[0].startswith(f"{UPLOAD}://")):
        raise InvalidRequest("image_path", " ".join(urls), f"an upload stands alone: {UPLOAD}://<id>")


def check_source(url: str, storages: Mapping[str, StorageKind]) -> None:
    """Raise InvalidRequest unless every storage accepts images from this address.

    storages: name → kind. The error shows only the scheme, as the rest may hold a password.
    """
    scheme = scheme_of(url)
    if scheme not in SCHEMES:
        raise InvalidRequest("image_path", f"{scheme}:…" if scheme else "an address without a scheme", SOURCE_RULE)
    if SCHEMES[scheme].on_host and not url.lower().startswith(f"{scheme}:///"):
        allowed = f"a file is named by three slashes and its absolute path: {scheme}:///path"
        raise InvalidRequest("image_path", f"{scheme}:…", allowed)
    for name, kind in storages.items():
        if scheme not in KINDS[kind].source_schemes:
            raise InvalidRequest(
                "image_path",
                f"{scheme}:///…",
                f"image storage {name!r} is Ceph, whose hosts keep objects and not files; "
                f"use one of {', '.join(KINDS[kind].source_schemes)}, or an ImageStore",
            )

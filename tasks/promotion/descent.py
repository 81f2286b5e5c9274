"""Find images made from an image: declared ones, and undeclared ones by the chips they share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from catalog.errors import ImagewrightError
from catalog.records import Image
from catalog.rules.promotion.kinship import LEAST, may_descend, said_of
from catalog.settings import Settings
from storage.replicas.kinship import Sketch, sketch
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import open_image_storage

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from storage.protocols import ImageStorage


class Found(NamedTuple):
    """Descendants found by shared chips.

    how: image id → evidence in words; unread: why some images could not be read.
    """

    how: Mapping[str, str]
    unread: tuple[str, ...] = ()


def descendants(catalog: "Catalog", settings: Settings, image_id: str) -> Found:
    """Find undeclared descendants of an image, direct and indirect, by shared chips. Only manifests are read.

    Declared descendants are followed but not returned. An image that can't be read is listed in `unread`, never an
    error.
    """
    images = {image.id: image for image in catalog.images()}
    root = catalog.image(image_id)
    looked = _Looked(catalog, settings)
    how: dict[str, str] = {}
    parents: Sequence[Image] = [root]
    while parents:
        found = {
            child.id: said for parent in parents for child, said in _children(parent, images, looked, {image_id, *how})
        }
        declared = [one for parent in parents for one in images.values() if one.parent == parent.id]
        how |= found
        parents = [images[one] for one in found] + [one for one in declared if one.id not in how]
    return Found(how, tuple(dict.fromkeys(looked.unread)))


def _children(
    parent: Image, images: Mapping[str, Image], looked: "_Looked", known: set[str]
) -> Iterator[tuple[Image, str]]:
    """Yield the images that share more with this one than with any other candidate, each with the evidence in words."""
    own = looked.at(parent)
    for child in images.values() if own is not None else ():
        if child.id in known or not may_descend(child, parent):
            continue
        seen = looked.at(child)
        share = seen.share_of(own) if seen is not None and own is not None else 0.0
        earlier = (
            other for one in images.values() if may_descend(child, one) and (other := looked.at(one)) is not None
        )
        if seen is not None and share >= LEAST and all(seen.share_of(other) <= share for other in earlier):
            yield child, said_of(parent, share)


class _Looked:
    """Reads sketches of images, each once."""

    def __init__(self, catalog: "Catalog", settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings
        self._storages: dict[str, ImageStorage] = {}
        self._sketches: dict[str, Sketch | None] = {}
        self._places: dict[str, list[str]] = {}
        for replica in whole_replicas(catalog):
            self._places.setdefault(replica.image_id, []).append(replica.image_storage)
        self.unread: list[str] = []

    def at(self, image: Image) -> Sketch | None:
        """Return the sketch of an image, None if no chips of it can be read here."""
        if image.id not in self._sketches:
            self._sketches[image.id] = self._read(image)
        return self._sketches[image.id]

    def _read(self, image: Image) -> Sketch | None:
        for place in self._places.get(image.id, ()):
            try:
                return sketch(self._storage(place), image.id)
            except ImagewrightError as error:
                self.unread.append(str(error))
        return None

    def _storage(self, name: str) -> "ImageStorage":
        if name not in self._storages:
            self._storages[name] = open_image_storage(self._catalog.image_storage(name), self._settings)
        return self._storages[name]

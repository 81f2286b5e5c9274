"""The choice of images to compact, of their chips, and of images they may be similar to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from storage.imagestore.format import compacted
from storage.imagestore.format.index import I8, U1, U8, Flags, distinct, keys_of, member
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.reading import manifests
from storage.imagestore.reading.view import View
from storage.protocols import ObjectStore

FEW_KEYS = 256  # the smallest keys of an image: the number two images share measures their similarity
RELATED = 4  # images that one may lean on


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An image. made_at: orders images; written_at: when the storage received it, timezone-aware UTC."""

    image_id: str
    made_at: datetime
    written_at: datetime
    stem: str  # of its name, without numbers: builds of one image share it
    few: U8  # its smallest keys, sorted
    size_bytes: int
    chips: int
    verbatim: bool  # kept as its own bytes
    unpacked: bool  # its packed members are kept as contents


def candidates(objects: ObjectStore) -> list[Candidate]:
    """Return the images whose manifests can be read, newest first."""
    found = [one for _, one in manifests.read_all(objects, _candidate) if isinstance(one, Candidate)]
    return sorted(found, key=lambda one: (one.made_at, one.image_id), reverse=True)


def _candidate(header: ManifestHeader, pieces: Pieces) -> Candidate:
    image, replica = header.image, header.replica
    stem, few = re.sub(r"[\W\d_]+", "", image.name), sorted_keys(pieces)[:FEW_KEYS].copy()
    return Candidate(
        image.id,
        image.created_at,
        replica.created_at,
        stem,
        few,
        replica.size_bytes,
        header.chips,
        header.verbatim,
        header.members is not None,
    )


def due(images: Sequence[Candidate], until: datetime, done: Mapping[str, int | None]) -> list[Candidate]:
    """Return the images written at `until` or before that are not compacted, or were while no newer one was similar.

    images: newest first; done: as in `format/compacted.py`.
    """
    outdated = _with_newer(images)
    return [
        one
        for one, newer in zip(images, outdated, strict=True)
        if one.written_at <= until
        and (state := done.get(one.image_id, 0)) is not None
        and (state != compacted.NEWEST or newer)
    ]


def _with_newer(images: Sequence[Candidate]) -> list[bool]:
    """Tell for each image whether a newer one shares chips or its name with it. images: newest first."""
    keys = np.concatenate([np.zeros(0, np.uint64), *(one.few for one in images)])
    numbers = np.repeat(np.arange(len(images)), [len(one.few) for one in images])
    found, first = np.unique(keys, return_index=True)  # of equal keys, the newest image's
    newest = numbers[first]
    stems: dict[str, int] = {}
    return [
        stems.setdefault(one.stem, number) < number or bool((newest[np.searchsorted(found, one.few)] < number).any())
        for number, one in enumerate(images)
    ]


@dataclass(slots=True)
class Newer:
    """The images newer than the current one: their chips, and their similarity."""

    keys: U8 = field(default_factory=lambda: np.zeros(0, np.uint64))
    _images: list[Candidate] = field(default_factory=list)

    def take(self, image: Candidate, keys: U8) -> None:
        """Add the next older image with its sorted keys."""
        self.keys = distinct(np.concatenate([self.keys, keys]))
        self._images.append(image)

    def related(self, image: Candidate) -> list[Candidate]:
        """Return images that may be similar to an older one, newest first.

        These are the images that share most chips with it; the newest that shares any, since bases are best among chips
        that stay anyway; and the newest and the next one of its name.
        """
        alike = [(int(member(image.few, one.few).sum()), -number) for number, one in enumerate(self._images)]
        best = {-number for common, number in sorted(alike, reverse=True)[:RELATED] if common}
        newest = [-number for common, number in alike if common][:1]
        named = [number for number, one in enumerate(self._images) if one.stem == image.stem]
        return [self._images[number] for number in sorted(best.union(newest, named[:1], named[-1:]))]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Rows of an image's pieces. lean: may lean on other chips; alone: bases of others."""

    lean: I8
    alone: I8


def sorted_keys(pieces: Pieces) -> U8:
    """Return the sorted keys of an image's chips."""
    return distinct(keys_of(pieces.data_digests))


def work_on(pieces: Pieces, first: int, stop: int, newer: U8, view: View, bases: U8) -> Work:
    """Return the chips of the pieces `[first, stop)` to rewrite: each once, and none that a newer image has.

    newer: sorted keys of the chips of newer images; bases: sorted keys of all bases.
    """
    rows = first + np.flatnonzero(~pieces.holes[first:stop])
    digests: U1 = pieces.digests[rows]
    keys = keys_of(digests)
    _, where = np.unique(keys, return_index=True)
    once: Flags = np.zeros(len(rows), np.bool_)
    once[where] = True
    own = once & ~member(newer, keys) & view.usable(digests) & ~view.locate(digests).leaning
    base = member(bases, keys)
    return Work(rows[own & ~base], rows[own & base])

"""Find the published builds that a caller sees, and the replicas with their bytes."""

import hashlib
from collections.abc import Iterator, Sequence

from catalog.errors import ImageNotFound
from catalog.records import Image, Replica
from catalog.repository.reading.reading import Reading
from catalog.rules.promotion import incus
from catalog.rules.promotion.history import standing, why_not
from catalog.rules.promotion.tree import Handed
from console.transfers.replica_contents import same_file
from console.visibility import Visibility

Stored = Sequence[tuple[Sequence[Replica], Handed]]
"""Published builds, with the whole replicas of each one's file."""


def latest(visibility: Visibility, family: str, arch: str) -> Handed:
    """Return the latest of a family. Raises FamilyNotFound, ImageNotFound."""
    image = visibility.latest(family, arch)
    replicas, handed = _stored(visibility.catalog, image)
    if handed is None:
        raise ImageNotFound(image.id, "by its digest: a storage converted it, and it was not measured yet")
    assert replicas
    return handed


def of_digest(visibility: Visibility, family: str, digest: str) -> tuple[Sequence[Replica], Handed]:
    """Return the build whose file has a digest. Raises ImageNotFound."""
    for replicas, handed in _usable(visibility, family):
        if handed.sha256 == digest:
            return replicas, handed
    raise ImageNotFound(digest, f"of family {family!r}")


def metadata_of(visibility: Visibility, family: str, digest: str) -> bytes:
    """Return the archive of metadata that has a digest. Raises ImageNotFound."""
    archives = (incus.metadata_of(one) for _, one in _usable(visibility, family) if incus.is_for_incus(one))
    found = next((data for data in archives if hashlib.sha256(data).hexdigest() == digest), None)
    if found is None:
        raise ImageNotFound(digest, f"of family {family!r}")
    return found


def _usable(visibility: Visibility, family: str) -> Iterator[tuple[Sequence[Replica], Handed]]:
    for image in visibility.catalog.images(family=family, account=visibility.account, status=("Ready", "Migrating")):
        if visibility.sees(image) and not why_not(image):
            replicas, handed = _stored(visibility.catalog, image)
            if handed is not None:
                yield replicas, handed


def all_handed(visibility: Visibility) -> Iterator[tuple[Sequence[Replica], Handed]]:
    """Yield the published builds of each visible family."""
    for family in visibility.catalog.families():
        images = [
            i for i in visibility.catalog.images(family=family.name, account=visibility.account) if visibility.sees(i)
        ]
        promotes = any(True for _ in visibility.catalog.channels(family.name))
        stands = _standing(visibility.catalog, family.name) if promotes else {image.id for image in images}
        for image in images:
            if image.id in stands and not why_not(image):
                replicas, handed = _stored(visibility.catalog, image)
                if handed is not None:
                    yield replicas, handed


def _standing(catalog: Reading, family: str) -> set[str]:
    return {
        image_id
        for channel in catalog.channels(family)
        for image_id in standing(catalog.promotions(family, channel.cpu_architecture))
    }


def _stored(catalog: Reading, image: Image) -> tuple[list[Replica], Handed | None]:
    """Return the whole replicas of an image's file, and its published build; None if its digest is unknown."""
    try:
        replicas = list(same_file(catalog, image))
    except ImageNotFound:
        return [], None
    first = replicas[0]
    if first.sha256 is None:
        return replicas, None
    return replicas, Handed(image=image, format=first.format, size_bytes=first.size_bytes, sha256=first.sha256)

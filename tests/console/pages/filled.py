"""A catalog with one of everything, and what its pages list."""

import re
from datetime import UTC, datetime

from catalog import open_catalog
from catalog.records import Image, ImageStatus, Leftover, PrimaryStorage, Volume
from tests.catalog.rules.promotion.builds import a_family
from tests.catalog.samples import a_replica, an_export, an_image

HOSTILE = "<script>alert('x')</script>\"&"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def filled(count: int = 1) -> Image:
    """Put one of everything into the catalog, hostile wherever a text is free; return the first image."""
    images = [
        an_image(name=f"image {n}", status=ImageStatus.ERROR, description=HOSTILE, error=HOSTILE, os=HOSTILE)
        for n in range(count)
    ]
    first = images[0]
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in images:
            change.save_image(image)
        change.save_image(an_image(name="binned", status=ImageStatus.DELETED, deleted_at=NOW))
        change.save_family(a_family(name="a family", description=HOSTILE))
        change.save_replica(a_replica(first, error=HOSTILE))
        change.save_export(an_export(first, path=f"/x/{HOSTILE}"))
        change.save_leftover(
            Leftover(
                id="l", image_id=first.id, image_storage="default", location=HOSTILE, size_bytes=1, moved_to="b",
                created_at=NOW,
            )
        )  # fmt: skip
        change.save_primary_storage(PrimaryStorage(name="p", kind="local", url="file:///p", created_at=NOW))
        change.save_volume(
            Volume(
                id="v", name=HOSTILE, image_id=first.id, primary_storage="p", location=HOSTILE, backing="", size_bytes=1,
                created_at=NOW,
            )
        )  # fmt: skip
    return first


def named_images(text: str) -> list[str]:
    """Return the names in the rows of a table, from top to bottom."""
    return re.findall(r'<th scope="row"[^>]*><a [^>]*>([^<]*)</a>', text)

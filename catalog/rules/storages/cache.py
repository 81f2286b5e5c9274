"""Eviction of cached images from a primary storage.

| cached image | dropped |
|---|---|
| used by a volume | never |
| its image was expunged | always |
| else, while the cache is past its budget | least recently used first |
"""

from collections.abc import Collection, Iterable

from catalog.records import CachedImage, Record


class Drop(Record):
    """A cached image to drop, with the reason."""

    cached: CachedImage
    reason: str


def cache_to_drop(
    cached: Iterable[CachedImage], used: Collection[str], gone: Collection[str], budget_bytes: int | None
) -> tuple[Drop, ...]:
    """Return the images to drop, in order. used, gone: image ids; budget_bytes: most bytes to keep, None: no limit."""
    by_age = sorted(cached, key=lambda c: (c.last_used_at, c.image_id))
    left = sum(c.size_bytes for c in by_age)
    drops = []
    for one in sorted(by_age, key=lambda c: c.image_id not in gone):  # stable: oldest first within each
        if one.image_id in used:
            continue
        if one.image_id in gone:
            drops.append(Drop(cached=one, reason="its image is gone and no volume uses it"))
        elif budget_bytes is not None and left > budget_bytes:
            drops.append(Drop(cached=one, reason=f"the cache is past its budget of {budget_bytes} bytes"))
        else:
            continue
        left -= one.size_bytes
    return tuple(drops)

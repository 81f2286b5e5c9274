"""What the promotions of a family come to: what is the latest, and what it goes back to."""

from collections.abc import Callable, Iterable, Sequence

from catalog.records import ANY_ARCHITECTURE, Image, ImageStatus, Promotion

WHOLE = (ImageStatus.READY, ImageStatus.MIGRATING)


def channel_of(image: Image) -> str:
    """Return the architecture that an image is promoted for; a volume image fits any."""
    return image.cpu_architecture or ANY_ARCHITECTURE


def why_not(image: Image) -> str:
    """Say why an image can't be the latest of its family, "" where it can."""
    if image.recalled is not None:
        return f"recalled: {image.recalled}"
    if image.status not in WHOLE:
        return image.status.value
    if image.state == "Disabled":
        return "Disabled"
    return "deprecated" if image.deprecated else ""


def standing(promotions: Iterable[Promotion]) -> Sequence[str]:
    """Return the images that were promoted and not gone back from since, the newest last.

    promotions: of one family and architecture, in their order. What was gone back from counts again only once it is promoted
    anew; one that was promoted twice stands once.
    """
    stands: list[str] = []
    for promotion in promotions:
        if promotion.kind == "promoted" and promotion.image_id is not None:
            stands = [one for one in stands if one != promotion.image_id] + [promotion.image_id]
        elif promotion.image_id is None:
            stands = []
        elif promotion.image_id in stands:
            stands = stands[: stands.index(promotion.image_id) + 1]
    return stands


def goes_back_to(stands: Sequence[str], usable: Callable[[str], bool], but: str | None = None) -> str | None:
    """Return the newest standing image that can be used, None for none. but: the one that is left."""
    return next((one for one in reversed(stands) if one != but and usable(one)), None)

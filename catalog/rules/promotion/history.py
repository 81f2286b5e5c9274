"""The promotion history of a family: its latest image, and the image that a rollback returns to."""

from collections.abc import Callable, Iterable, Sequence

from catalog.records import ANY_ARCHITECTURE, Image, ImageStatus, Promotion

WHOLE = (ImageStatus.READY, ImageStatus.MIGRATING)


def channel_of(image: Image) -> str:
    """Return the channel that an image is promoted in: its architecture, or any for a volume image."""
    return image.cpu_architecture or ANY_ARCHITECTURE


def why_not(image: Image) -> str:
    """Return why an image can't be the latest of its family, "" if it can."""
    if image.recalled is not None:
        return f"recalled: {image.recalled}"
    if image.status not in WHOLE:
        return image.status.value
    if image.state == "Disabled":
        return "Disabled"
    return "deprecated" if image.deprecated else ""


def standing(promotions: Iterable[Promotion]) -> Sequence[str]:
    """Return the promoted images that were not rolled back since, the newest last.

    promotions: of one family and architecture, in order. An image that was rolled back counts again only after a new
    promotion; one that was promoted twice is listed once.
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
    """Return the newest standing image that is usable, None if there is none. but: the image to go back from."""
    return next((one for one in reversed(stands) if one != but and usable(one)), None)

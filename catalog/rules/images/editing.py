"""Edits of images, checked against the rules of the add form and against the bytes."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from catalog.errors import ImageNotFound, InvalidRequest
from catalog.records import Image
from catalog.rules.images.combinations import check_image, contradictions
from catalog.rules.images.naming import check_description, check_name

BOOT_SETTINGS = ("os", "platform", "virtio", "bios_mode", "enable_csm")
CLEARED_BY_EMPTY = ("family", "replaced_by", "expires_at")
FindImage = Callable[[str], Image]
"""Returns an image that the editor may see. Raises ImageNotFound."""


def with_cleared(asked: Mapping[str, object], clear: Collection[str]) -> Mapping[str, object]:
    """Return the requested fields with the named ones emptied.

    Raises InvalidRequest for a field both set and cleared.
    """
    for name in clear:
        if asked[name] is not None:
            raise InvalidRequest("clear", name, f"leave it out where {name} is given")
    return {**asked, **dict.fromkeys(clear, "")}


def edited(image: Image, asked: Mapping[str, object], find: FindImage) -> Image:
    """Return the image with the requested fields; those that are None stay.

    An empty `family` or `replaced_by` clears it. Raises InvalidRequest by every rule of the add form, and if the bytes
    can boot only otherwise than requested.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    values = {name: None if name in CLEARED_BY_EMPTY and not v else v for name, v in given.items()}
    after = image.model_copy(update=values)
    _check_words(after, values)
    if values.get("replaced_by"):
        _check_replacement(after, find)
    return _booting(image, after) if set(values) & set(BOOT_SETTINGS) else after


def check_expiry(asked: Mapping[str, object], now: datetime) -> None:
    """Refuse a past moment and one without a time zone. now: timezone-aware UTC. Raises InvalidRequest."""
    expires = asked.get("expires_at")
    if isinstance(expires, datetime) and (expires.tzinfo is None or expires <= now):
        raise InvalidRequest("expires_at", expires.isoformat(), "a moment to come, with its time zone")


def _check_words(after: Image, values: Mapping[str, object]) -> None:
    if "name" in values:
        check_name(after.name)
    if "description" in values:
        check_description(after.description)
    if after.family and "family" in values:
        check_name(after.family, "family")


def _check_replacement(image: Image, find: FindImage) -> None:
    """Refuse a replacement that does not exist or leads back to the image."""
    allowed = "the id of another image that is not itself replaced by this one"
    following, seen = image.replaced_by, {image.id}
    while following:
        if following in seen:
            raise InvalidRequest("replaced_by", image.replaced_by, allowed)
        seen.add(following)
        try:
            following = find(following).replaced_by
        except ImageNotFound as error:
            if following != image.replaced_by:
                return  # an older replacement that no longer exists: no cycle
            raise InvalidRequest("replaced_by", following, allowed) from error


def _booting(before: Image, after: Image) -> Image:
    check_image(after)
    if after.boot is None:
        return after
    known, _ = contradictions(before, after.boot)
    errors, warnings = contradictions(after, after.boot)
    new = [sentence for sentence in errors if sentence not in known]
    if new:
        parameter, _, rest = new[0].partition(": ")
        raise InvalidRequest(parameter, getattr(after, parameter, None), rest)
    return after.model_copy(update={"warnings": warnings})

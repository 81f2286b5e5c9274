"""Filters of image listings, and their translation into a store's query."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from catalog.errors import InvalidRequest
from catalog.records import Account, Image, ImageFormat, ImageStatus, ImageType
from catalog.store.protocol import Query
from catalog.store.record_kinds import Place

AVAILABLE = tuple(status for status in ImageStatus if status is not ImageStatus.DELETED)
"""Every status except that of the recycle bin: the default of listings."""
EQUAL = ("owner", "image_type", "family", "format", "deprecated", "os", "build_version", "cpu_architecture", "parent")
"""Fields of an image that are compared for equality."""


class ImageFilter(TypedDict, total=False):
    """The filters of a listing; one that is left out, or None, does not filter.

    status: by default all but the recycle bin. name_pattern: `*` and `?`; case matters. account: the viewer; only
    images visible to it are listed. image_storage: has a replica there. labels: has all of them. changed_since,
    expired_at: timezone-aware; changed at that moment or later, expired at it or before. after: the last image of the
    previous page, or its place. limit: most images.
    """

    status: str | tuple[str, ...] | None
    name_pattern: str
    owner: str | None
    account: str | None
    image_storage: str | None
    image_type: ImageType | None
    family: str | None
    format: ImageFormat | None
    deprecated: bool | None
    os: str | None
    build_version: str | None
    cpu_architecture: str | None
    parent: str | None
    labels: tuple[str, ...]
    changed_since: datetime | None
    expired_at: datetime | None
    after: Image | Place | None
    limit: int | None


def query_of(wanted: ImageFilter, viewer: Account | None) -> Query:
    """Return the store's query.

    viewer: the account that asks. Raises InvalidRequest, TypeError for an unknown filter.
    """
    _require_known(wanted)
    limit = wanted.get("limit")
    if limit is not None and limit < 0:
        raise InvalidRequest("limit", limit, "0 or more; leave it out for all")
    among = {name: (value,) for name, value in wanted.items() if name in EQUAL and isinstance(value, str | int)}
    return Query(
        among={**among, "status": _statuses(wanted.get("status"))},
        name_pattern=wanted.get("name_pattern", "*"),
        changed_since=wanted.get("changed_since"),
        expired_at=wanted.get("expired_at"),
        stored_on=wanted.get("image_storage"),
        labels=tuple(wanted.get("labels", ())),
        visible_to=viewer,
    )


def _require_known(wanted: Mapping[str, object]) -> None:
    """Refuse a misspelt filter: ignored, it would list all images."""
    for name in wanted.keys() - ImageFilter.__annotations__.keys():
        raise TypeError(f"images() has no parameter {name!r}; it has {', '.join(ImageFilter.__annotations__)}")


def _statuses(status: str | tuple[str, ...] | None) -> tuple[str, ...]:
    given = AVAILABLE if status is None else (status,) if isinstance(status, str) else status
    known = tuple(s.value for s in ImageStatus)
    for one in given:
        if one not in known:
            raise InvalidRequest("status", str(one), f"one of {', '.join(known)}")
    return tuple(ImageStatus(one).value for one in given)

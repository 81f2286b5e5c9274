"""What each tab lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import cast, get_args

from catalog.errors import InvalidRequest, UploadNotFound
from catalog.reading import AVAILABLE, Reading
from catalog.records import ImageFormat, ImageType
from console import rows
from console.measuring import Measuring
from console.rows import Row
from console.sorting import ordered
from storage.uploads import Uploads

PAGE = 50
KINDS, FORMATS = get_args(ImageType), get_args(ImageFormat)


@dataclass(frozen=True, slots=True)
class View:
    """What tabs are made from. query: of the page's address, e.g. the `name` pattern."""

    catalog: Reading
    query: Mapping[str, str]
    measuring: Measuring
    uploads: Uploads


@dataclass(frozen=True, slots=True)
class Tab:
    """A list. actions: that need no row; empty: what is said where there is nothing."""

    title: str
    columns: tuple[str, ...]
    rows: Callable[[View], Iterable[Row]]
    actions: tuple[str, ...] = ()
    empty: str = "Nothing here."


def _images(view: View) -> Iterable[Row]:
    query = view.query
    found = view.catalog.images(
        status=query.get("status") or AVAILABLE,
        name_pattern=query.get("name") or "*",
        image_storage=query.get("storage") or None,
        image_type=cast("ImageType | None", _one_of("kind", query, KINDS)),
        format=cast("ImageFormat | None", _one_of("format", query, FORMATS)),
    )
    return map(rows.image_row, found)


def _one_of(parameter: str, query: Mapping[str, str], allowed: tuple[str, ...]) -> str | None:
    given = query.get(parameter)
    if given and given not in allowed:
        raise InvalidRequest(parameter, given, f"one of {', '.join(allowed)}")
    return given or None


def _uploads(view: View) -> Iterator[Row]:
    for upload in view.uploads.all():
        with suppress(UploadNotFound):
            yield rows.upload_row(view.catalog, view.uploads, upload)


def _storages(view: View) -> Iterator[Row]:
    for storage in view.catalog.image_storages():
        yield rows.storage_row(storage, view.measuring.image_storage(storage))


def _primaries(view: View) -> Iterator[Row]:
    for storage in view.catalog.primary_storages():
        yield rows.primary_row(storage, view.measuring.primary_storage(storage))


TABS: Mapping[str, Tab] = {
    "images": Tab(
        "Images", ("Kind", "Format", "Status", "State", "Virtual size", "Storages", "Owner", "Added"), _images,
        ("add_system_image", "add_volume_image"), "No images: add one from a URL, or a file of this computer.",
    ),
    "uploads": Tab("Uploads", ("File", "State", "Sent", "Begun", "Kept until"), _uploads, empty="No file is on its way."),
    "exports": Tab(
        "Exported", ("Format", "Size", "Storage", "MD5", "Exported"), lambda view: map(rows.export_row, view.catalog.exports()),
        empty="Nothing is exported: choose Export image among the actions on an image.",
    ),
    "bin": Tab(
        "Recycle bin", ("Kind", "Size", "Owner", "Deleted"), lambda view: map(rows.bin_row, view.catalog.bin()),
        ("purge_recycle_bin",),
    ),
    "leftovers": Tab(
        "Leftovers", ("Storage", "Location", "Size", "Moved to", "Since"),
        lambda view: (rows.leftover_row(view.catalog, left) for left in view.catalog.leftovers()),
    ),
    "storages": Tab(
        "Image storages", ("Kind", "URL", "State", "Connection", "Used", "Images kept", "Cap", "Sync network"), _storages,
        ("register_image_storage", "sync_images", "reconcile_storages"),
    ),
    "primary": Tab("Primary storages", ("Kind", "URL", "Used"), _primaries, ("register_primary_storage",)),
    "volumes": Tab(
        "Volumes", ("Primary storage", "Size", "Location"), lambda view: map(rows.volume_row, view.catalog.volumes())
    ),
}  # fmt: skip
"""Every tab: adding one adds a row here and its function in `rows`."""


def page_of(tab: Tab, view: View, number: int) -> tuple[list[Row], bool]:
    """Return a page of rows, and whether there are more. number: from 0.

    Raises InvalidRequest for a filter or an order that can't be.
    """
    listed, sort = tab.rows(view), view.query.get("sort")
    rows_ = ordered(listed, tab.columns, sort) if sort else listed
    found = list(islice(rows_, number * PAGE, (number + 1) * PAGE + 1))
    return found[:PAGE], len(found) > PAGE

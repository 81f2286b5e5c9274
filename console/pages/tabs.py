"""The tabs and their lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import cast, get_args

from catalog.errors import InvalidRequest, StorageError, UploadNotFound
from catalog.records import Architecture, ImageFormat, ImageType
from catalog.repository.reading.image_filter import AVAILABLE, ImageFilter
from catalog.repository.reading.reading import Reading
from catalog.store.lines.line import LineOrder
from console.pages import rows
from console.pages.actions import offered
from console.pages.families.lines import family_rows
from console.pages.image_lists import image_rows
from console.pages.rows import Row
from console.pages.sorting import ordered
from console.pages.storage_usage import StorageUsage
from console.visibility import Visibility, sees_upload, storage_as_seen
from storage.uploads import Uploads

PAGE = 50
DEPRECATED: Mapping[str, bool | None] = {"": None, "hidden": False, "only": True}
KINDS, FORMATS, ARCHITECTURES = get_args(ImageType), get_args(ImageFormat), get_args(Architecture)
MOST_TYPED, MOST_WORDS = 200, 12


@dataclass(frozen=True, slots=True)
class View:
    """The input of a tab. visibility: the visitor's; query: of the page's address, e.g. the `name` pattern."""

    visibility: Visibility
    query: Mapping[str, str]
    usage: StorageUsage
    uploads: Uploads

    @property
    def catalog(self) -> Reading:
        """The whole catalog, without regard to visibility."""
        return self.visibility.catalog


@dataclass(frozen=True, slots=True)
class Tab:
    """A list.

    actions: those that need no row; empty: text of an empty list; group: title of the group that begins here; icon:
    beside its title; minor: columns hidden in narrow windows; in_order: lets the catalog search and sort, and returns
    so many rows from a place on.
    """

    title: str
    columns: tuple[str, ...]
    rows: Callable[[View], Iterable[Row]]
    actions: tuple[str, ...] = ()
    empty: str = "Nothing here."
    icon: str = "inbox"
    group: str = ""
    minor: tuple[str, ...] = ()
    in_order: Callable[[View, int, int], Iterable[Row]] | None = None


ORDERS: Mapping[str, LineOrder] = {
    "Name": "name",
    "System": "system",
    "Kind": "image_type",
    "Format": "format",
    "Status": "status",
    "Virtual size": "virtual_size_bytes",
    "Storages": "image_storages",
    "Owner": "owner",
    "Added": "created_at",
}
"""Columns of the list of images → the catalog's order for each."""


def _images(view: View) -> Iterable[Row]:
    found = view.catalog.images(**_wanted(view))
    return image_rows(view.visibility, view.uploads, filter(view.visibility.sees, found))


def _images_in_order(view: View, first: int, count: int) -> Iterable[Row]:
    """Return a part of a search or of a sorted list of images: the catalog itself searches and sorts."""
    sort = view.query.get("sort") or "-Added"
    column = sort.removeprefix("-")
    if column not in ORDERS:
        raise InvalidRequest("sort", sort, f"one of {', '.join(ORDERS)}, with - in front for downwards")
    found = view.catalog.images_in_order(
        words_of(view.query), ORDERS[column], down=sort.startswith("-"), offset=first, count=count, **_wanted(view)
    )
    return image_rows(view.visibility, view.uploads, filter(view.visibility.sees, found))


def words_of(query: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of a search; a shortened id loses its ellipsis."""
    return tuple(word.strip("…").removesuffix("...") for word in query.get("q", "")[:MOST_TYPED].split())[:MOST_WORDS]


def _wanted(view: View) -> ImageFilter:
    query = view.query
    return {
        "status": query.get("status") or AVAILABLE,
        "name_pattern": query.get("name") or "*",
        "image_storage": query.get("storage") or None,
        "image_type": cast("ImageType | None", _one_of("kind", query, KINDS)),
        "format": cast("ImageFormat | None", _one_of("format", query, FORMATS)),
        "cpu_architecture": _one_of("architecture", query, ARCHITECTURES),
        "labels": (query["label"],) if query.get("label") else (),
        "deprecated": DEPRECATED[_one_of("deprecated", query, tuple(DEPRECATED)) or ""],
        "account": view.visibility.account,
    }


def _one_of(parameter: str, query: Mapping[str, str], allowed: tuple[str, ...]) -> str | None:
    given = query.get(parameter)
    if given and given not in allowed:
        raise InvalidRequest(parameter, given, f"one of {', '.join(allowed)}")
    return given or None


def _uploads(view: View) -> Iterator[Row]:
    for upload in view.uploads.all():
        with suppress(UploadNotFound, StorageError):  # it is gone meanwhile, or its bucket does not answer
            if sees_upload(view.visibility.who, upload):
                yield rows.upload_row(view.catalog, view.uploads, upload)


def _exports(view: View) -> Iterator[Row]:
    for export in view.catalog.exports():
        if view.visibility.of(export.image_id):
            yield rows.export_row(view.catalog, export)


def _bin(view: View) -> Iterable[Row]:
    return map(rows.bin_row, filter(view.visibility.sees, view.catalog.bin(view.visibility.account)))


def _leftovers(view: View) -> Iterator[Row]:
    for left in view.catalog.leftovers():
        if view.visibility.of(left.image_id):
            yield rows.leftover_row(view.catalog, left)


def _volumes(view: View) -> Iterator[Row]:
    for volume in view.catalog.volumes():
        if view.visibility.owns(volume.owner, volume.image_id):
            yield rows.volume_row(volume)


def _families(view: View) -> Iterable[Row]:
    return family_rows(view.visibility)


def _storages(view: View) -> Iterator[Row]:
    for storage in view.catalog.image_storages():
        yield rows.storage_row(storage_as_seen(view.visibility.who, storage), view.usage.image_storage(storage))


def _primaries(view: View) -> Iterator[Row]:
    for storage in view.catalog.primary_storages():
        yield rows.primary_row(storage, view.usage.primary_storage(storage))


TABS: Mapping[str, Tab] = {
    "images": Tab(
        "Images", ("System", "Kind", "Format", "Status", "Virtual size", "Storages", "Owner", "Added"), _images,
        offered("images"), "No images: add one from a URL, or a file of this computer.", "disc-3", "Resources",
        ("Kind", "Format", "Owner"), _images_in_order,
    ),
    "uploads": Tab(
        "Uploads", ("File", "State", "Sent", "Begun", "Kept until"), _uploads,
        empty="No file is on its way: add an image and choose a file of this computer.", icon="upload",
    ),
    "exports": Tab(
        "Exported", ("Format", "Size", "Storage", "MD5", "Exported"), _exports,
        empty="Nothing is exported: choose Export image among the actions on an image.", icon="package",
    ),
    "bin": Tab(
        "Recycle bin", ("Kind", "Size", "Owner", "Deleted"), _bin,
        offered("bin"), "The recycle bin is empty: images that are deleted rest here until they are expunged.", "trash-2",
    ),
    "leftovers": Tab(
        "Leftovers", ("Storage", "Location", "Size", "Moved to", "Since"), _leftovers,
        empty="No leftovers: when an image changes its storage, its raw data stays on the old one until it is cleaned up here.",
        icon="eraser",
    ),
    "families": Tab(
        "Families", ("Architecture", "Latest", "Version", "Since", "Address"), _families, offered("families"),
        "No families: set one, and the latest of its builds has an address that stays the same.", "git-branch",
    ),
    "volumes": Tab(
        "Volumes", ("Primary storage", "Size", "Location"), _volumes,
        empty="No volumes: they are made of an image, by its actions.", icon="database",
    ),
    "storages": Tab(
        "Image storages", ("Kind", "URL", "State", "Connection", "Used", "Images kept", "Cap", "Sync network"), _storages,
        offered("storages"), "No image storages: register one, so that images can be added.", "server", "Storages",
    ),
    "primary": Tab(
        "Primary storages", ("Kind", "URL", "Used"), _primaries, offered("primary"),
        "No primary storages: register one, so that volumes can be made.", "hard-drive",
    ),
}  # fmt: skip
"""Every tab: adding one adds a row here and its function in `rows`."""


def page_of(tab: Tab, view: View, number: int) -> tuple[list[Row], bool]:
    """Return a page of rows, and whether there are more. number: from 0.

    Raises InvalidRequest for an invalid filter or order.
    """
    found = list(_page(tab, view, number * PAGE, PAGE + 1))
    return [rows.left_to(view.visibility.who, row) for row in found[:PAGE]], len(found) > PAGE


def _page(tab: Tab, view: View, first: int, count: int) -> Iterable[Row]:
    sort = view.query.get("sort")
    if tab.in_order and (sort or first or words_of(view.query)):
        return tab.in_order(view, first, count)
    listed = tab.rows(view)
    return islice(ordered(listed, tab.columns, sort) if sort else listed, first, first + count)

"""What each tab lists, and what can be done with a row: the rules decide, not the page."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from catalog.errors import ImagewrightError
from catalog.reading import AVAILABLE, Reading
from catalog.records import ExportedImage, Image, ImageStorage, Leftover, PrimaryStorage, Volume
from catalog.rules.transitions import status_after
from console.shown import size, when

PAGE = 50

OPERATIONS = {
    "edit_image": "edit",
    "enable_image": "enable",
    "disable_image": "disable",
    "export_image": "export",
    "create_volume": "create volume",
    "set_sharing_mode": "set sharing mode",
    "sync_images": "sync",
    "change_image_storage": "change image storage",
    "delete_image": "delete",
    "recover_image": "recover",
    "expunge_image": "expunge",
}
"""Flow → operation in the table of transitions."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a tab. given: what its forms begin with; image: arriving, so that its progress is shown."""

    id: str
    name: str
    cells: tuple[str, ...]
    actions: tuple[str, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict)
    link: str = ""
    arriving: bool = False
    trouble: str = ""
    export: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    """A list. rows: from the catalog and the query's `name` pattern; actions: that need no row."""

    title: str
    columns: tuple[str, ...]
    rows: Callable[[Reading, Mapping[str, str]], Iterable[Row]]
    actions: tuple[str, ...] = ()


def _images(catalog: Reading, query: Mapping[str, str]) -> Iterable[Row]:
    pattern, status = query.get("name") or "*", query.get("status") or AVAILABLE
    return map(image_row, catalog.images(status=status, name_pattern=pattern))


def image_row(image: Image) -> Row:
    """Return an image's line."""
    kind = "ISO" if image.media == "ISO" else image.image_type
    cells = (kind, image.format_stored, image.status, image.state, size(image.virtual_size_bytes))
    return Row(
        image.id, image.name, (*cells, " ".join(image.image_storages), image.owner, when(image.created_at)),
        tuple(flow for flow, operation in OPERATIONS.items() if allowed(image, operation)),
        {
            "image_id": image.id, "image_ids": [image.id], "source": next(iter(image.image_storages), ""),
            "name": image.name, "description": image.description,
        },
        f"/images/{image.id}", image.status in {"Creating", "Downloading"}, image.error or "",
    )  # fmt: skip


def allowed(image: Image, operation: str) -> bool:
    """Tell whether an operation would be taken, and would change something."""
    if {"enable": "Enabled", "disable": "Disabled"}.get(operation) == image.state:
        return False
    try:
        status_after(image, operation)
    except ImagewrightError:
        return False
    return True


def _exports(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for export in catalog.exports():
        yield _export(export)


def _export(export: ExportedImage) -> Row:
    return Row(
        export.id, export.path.rpartition("/")[2],
        (export.format, size(export.size_bytes), export.image_storage, export.md5, when(export.created_at)),
        ("delete_exported_image",), {"image_id": export.image_id, "image_storage": export.image_storage},
        f"/images/{export.image_id}", export=export.id,
    )  # fmt: skip


def _bin(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for image in catalog.bin():
        row = image_row(image)
        yield Row(
            row.id, row.name, (row.cells[0], size(image.size_bytes), image.owner, when(image.deleted_at)),
            row.actions, row.given, row.link, trouble=row.trouble,
        )  # fmt: skip


def _leftovers(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for left in catalog.leftovers():
        yield _leftover(left)


def _leftover(left: Leftover) -> Row:
    cells = (left.image_storage, left.location, size(left.size_bytes), left.moved_to, when(left.created_at))
    given = {"leftover_ids": [left.id], "image_storage": left.image_storage}
    return Row(left.id, left.image_id, cells, ("clean_up_leftovers",), given, f"/images/{left.image_id}")


def _storages(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for storage in catalog.image_storages():
        yield _storage(storage)


def _storage(storage: ImageStorage) -> Row:
    given = {"name": storage.name, "image_storage": storage.name, "image_storages": [storage.name]}
    actions = ("set_image_storage_state", "verify_replicas", "reclaim_space", "adopt_storage")
    cells = (storage.kind, storage.url, storage.state, storage.connection, storage.sync_network or "")
    return Row(storage.name, storage.name, cells, actions, given)


def _primaries(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for storage in catalog.primary_storages():
        yield _primary(storage)


def _primary(storage: PrimaryStorage) -> Row:
    given = {"primary_storage": storage.name}
    return Row(storage.name, storage.name, (storage.kind, storage.url), ("clean_image_cache",), given)


def _volumes(catalog: Reading, _query: Mapping[str, str]) -> Iterable[Row]:
    for volume in catalog.volumes():
        yield _volume(volume)


def _volume(volume: Volume) -> Row:
    cells = (volume.primary_storage, size(volume.size_bytes), volume.location)
    return Row(
        volume.id,
        volume.name,
        cells,
        ("delete_volume",),
        {"volume_id": volume.id},
        f"/images/{volume.image_id}",
    )


TABS: Mapping[str, Tab] = {
    "images": Tab(
        "Images", ("Kind", "Format", "Status", "State", "Virtual size", "Storages", "Owner", "Added"), _images,
        ("add_system_image", "add_volume_image"),
    ),
    "exports": Tab("Exported", ("Format", "Size", "Storage", "MD5", "Exported"), _exports),
    "bin": Tab("Recycle bin", ("Kind", "Size", "Owner", "Deleted"), _bin, ("purge_recycle_bin",)),
    "leftovers": Tab("Leftovers", ("Storage", "Location", "Size", "Moved to", "Since"), _leftovers),
    "storages": Tab(
        "Image storages", ("Kind", "URL", "State", "Connection", "Sync network"), _storages,
        ("register_image_storage", "sync_images", "reconcile_storages"),
    ),
    "primary": Tab("Primary storages", ("Kind", "URL"), _primaries, ("register_primary_storage",)),
    "volumes": Tab("Volumes", ("Primary storage", "Size", "Location"), _volumes),
}  # fmt: skip
"""Every tab: adding one adds a row here and its function above."""


def page_of(catalog: Reading, tab: Tab, query: Mapping[str, str], number: int) -> tuple[list[Row], bool]:
    """Return a page of rows, and whether there are more. number: from 0."""
    rows = list(islice(tab.rows(catalog, query), number * PAGE, (number + 1) * PAGE + 1))
    return rows[:PAGE], len(rows) > PAGE

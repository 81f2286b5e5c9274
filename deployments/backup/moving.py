"""Move a home's catalog into PostgreSQL, from one machine to many. Images stay in place and are assigned their host."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from catalog.errors import HomeNotMigrated, InvalidRequest
from catalog.log import events
from catalog.records import ExportedImage, ImageStatus, ImageStorage, MigrationReport, PrimaryStorage, UploadPlace
from catalog.repository.change import Change
from catalog.repository.moving import move
from catalog.settings import Settings
from console.entrance.sealing import KEY_NAME
from flows.server.environment import running_server
from flows.server.same_catalog import identity
from storage.uploads import Uploads

Storage = TypeVar("Storage", ImageStorage, PrimaryStorage)
SUBJECT = "backup:migration"
UNDER_WAY = (ImageStatus.CREATING, ImageStatus.DOWNLOADING, ImageStatus.MIGRATING)


def migrate_home(settings: Settings) -> MigrationReport:
    """Copy the home's SQLite catalog into the empty PostgreSQL database that the settings name, in one transaction.

    Raises InvalidRequest, HomeNotMigrated, and the catalog's own errors if it is damaged or unavailable.
    """
    source = _source(settings)
    report: list[MigrationReport] = []

    def settle(change: Change, records: int) -> None:
        _require_quiet(settings, change)
        report.append(_settled(settings, change, records))
        change.record(events.CATALOG_MIGRATED, SUBJECT, after=report[0])

    move(f"sqlite:///{source}", settings.catalog_address, settle)
    return report[0]


def _source(settings: Settings) -> Path:
    """Return the home's catalog file. Raises if it is missing or in use, or if the settings name no PostgreSQL."""
    if not settings.catalog_is_shared:
        raise InvalidRequest(
            "IMAGEWRIGHT_CATALOG_URL",
            settings.catalog_url,
            "an empty database in PostgreSQL, such as postgresql+psycopg://user@host/catalog",
        )
    source = settings.home / "catalog.db"
    if not source.is_file():
        raise HomeNotMigrated(
            str(settings.home), "there is no catalog in it; name the home that has one with IMAGEWRIGHT_HOME"
        )
    if running_server(settings) is not None:
        raise HomeNotMigrated(str(settings.home), "`imagewright serve` runs on it; stop it first, and all workers")
    return source


def _require_quiet(settings: Settings, change: Change) -> None:
    """Raise if an operation is under way that only this home's Prefect server could finish."""
    for status in UNDER_WAY:
        for image in change.images(status=status, limit=1):
            raise HomeNotMigrated(
                str(settings.home),
                f"image {image.id} ({image.name}) is {image.status}; let it end, or delete it, with `imagewright serve`",
            )


def _settled(settings: Settings, change: Change, records: int) -> MigrationReport:
    """Assign this host to everything that lies on this machine; return the report."""
    images = _of_this_host(change.image_storages(), settings)
    primaries = _of_this_host(change.primary_storages(), settings)
    for storage in images:
        change.save_image_storage(storage)
    for primary in primaries:
        change.save_primary_storage(primary)
    exports, uploads = _exports(settings, change), _uploads(settings, change)
    _keep_links(settings, change)
    return MigrationReport(
        catalog=identity(settings.catalog_address),
        host=settings.host_name,
        records=records,
        images=sum(1 for _ in change.images()),
        storages=(*(storage.name for storage in images), *(primary.name for primary in primaries)),
        exports=exports,
        uploads=uploads,
        left=_left(settings),
    )


def _of_this_host(storages: Iterable[Storage], settings: Settings) -> tuple[Storage, ...]:
    """Return the storages that are directories, with this host as their owner."""
    return tuple(
        storage.model_copy(update={"host": settings.host_name})
        for storage in storages
        if storage.url.startswith("file:") and not storage.shared and storage.host is None
    )


def _exports(settings: Settings, change: Change) -> int:
    """Assign this host to the exports in the home's own folder; return how many.

    A configured folder counts as shared.
    """
    if settings.exports is not None:
        return 0
    here = tuple(export for export in change.exports() if export.host is None and _is_below(export, settings))
    for export in here:
        change.save_export(export.model_copy(update={"host": settings.host_name}))
    return len(here)


def _is_below(export: ExportedImage, settings: Settings) -> bool:
    return Path(export.path).is_relative_to(settings.exports_folder)


def _uploads(settings: Settings, change: Change) -> int:
    """Record this host as the place of the uploads under way here; return how many."""
    if settings.uploads is not None:
        return 0
    here = tuple(Uploads(settings).all())
    for upload in here:
        change.save_upload_place(UploadPlace(id=upload.id, host=settings.host_name))
    return len(here)


def _keep_links(settings: Settings, change: Change) -> None:
    """Share this home's signing key with all hosts, so that existing download links stay valid on each of them."""
    key = settings.home / "console.key"
    if key.exists():
        change.shared_key(KEY_NAME, key.read_bytes().hex())


def _left(settings: Settings) -> tuple[str, ...]:
    return (
        f"set IMAGEWRIGHT_CATALOG_URL on every host: {settings.home / 'catalog.db'} stays as it is, and is old from now on",
        f"set IMAGEWRIGHT_HOST to {settings.host_name} on this machine wherever it is named otherwise",
        "`python -m deployments.apply` puts the deployments on the new Prefect server; make its Secret blocks anew",
        "`imagewright doctor`, and `imagewright reconcile-storages --plan-only`, which has to name nothing",
    )

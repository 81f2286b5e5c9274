"""Restore a backup on a machine where no Imagewright process runs. The whole backup is verified before any change."""

from pathlib import Path

from pydantic import ValidationError

from catalog import open_catalog
from catalog.errors import BackupFailed
from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import Backup, RestoreReport
from catalog.settings import Settings
from catalog.store.tables import SCHEMA
from deployments.backup.databases import Database, database_at
from deployments.backup.making import CATALOG, KEYS, PREFECT, kept_file
from deployments.backup.places import MANIFEST, PREFIX, opened, workspace
from deployments.backup.prefect_database import prefect_database
from flows.server.environment import running_server

VERSION = 1


def restore(settings: Settings, asked: str, *, replace: bool) -> RestoreReport:
    """Restore a backup, or the newest of a place. replace: overwrite existing data. Raises BackupFailed."""
    if running_server(settings) is not None:
        raise BackupFailed(asked, "`imagewright serve` runs on this home; stop it first, and all workers")
    place, name = _split(asked)
    with opened(place) as kept, workspace(settings) as folder:
        names = kept.names()
        if not names or (name and name not in names):
            there = ", ".join(names[-5:]) or "no whole one"
            raise BackupFailed(asked, f"it is not there, or not whole; there is {there}")
        files = kept.fetched(name or names[-1], folder)
        backup = _proven(files, asked)
        _put_back(settings, backup, files, replace=replace)
    return RestoreReport(
        place=f"{place.rstrip('/')}/{backup.name}",
        made_at=backup.made_at,
        images=_images(settings),
        files=tuple(file.name for file in backup.files),
        left=_left(backup),
    )


def _split(asked: str) -> tuple[str, str]:
    """Return the place and the backup's name, which is empty if only a place was given."""
    place, _, name = asked.rstrip("/").rpartition("/")
    return (place or "/", name) if name.startswith(PREFIX) else (asked, "")


def _proven(files: Path, asked: str) -> Backup:
    """Return the manifest after comparing every file with it."""
    try:
        backup = Backup.model_validate_json((files / MANIFEST).read_bytes())
    except ValidationError as error:
        raise BackupFailed(asked, f"its manifest can't be read: {error.errors()[0]['msg']}") from error
    if backup.version != VERSION or backup.schema_revision > SCHEMA:
        raise BackupFailed(asked, f"it was made by a newer program ({backup.imagewright}); restore it with that")
    for file in backup.files:
        if (
            Path(file.name).name != file.name
            or not (files / file.name).is_file()
            or kept_file(files / file.name) != file
        ):
            raise BackupFailed(asked, f"its file {file.name} is not what was written; take another backup")
    return backup


def _put_back(settings: Settings, backup: Backup, files: Path, *, replace: bool) -> None:
    catalog_ = _target(database_at(settings.catalog_address), backup.catalog, "catalog", replace=replace)
    prefect = (
        _target(prefect_database(), backup.prefect, "Prefect's database", replace=replace) if backup.prefect else None
    )
    make_folder(settings.home)
    for name in KEYS:
        if (files / name).exists():
            with written_aside(settings.home / name) as key:
                key.write((files / name).read_bytes())
    if prefect is not None:
        prefect.restore(files / PREFECT)
    catalog_.restore(files / CATALOG)


def _target(database: Database, kind: str, what: str, *, replace: bool) -> Database:
    """Return the database to write.

    Raises BackupFailed if its kind differs, or if it exists and may not be replaced.
    """
    if database.kind != kind:
        raise BackupFailed(what, f"it was in {kind}, the settings here name {database.kind}; name a {kind} database")
    if database.exists() and not replace:
        raise BackupFailed(what, "there is one here already; `--replace` puts the backup in its place")
    return database


def _images(settings: Settings) -> int:
    """Open the restored catalog, which upgrades an older SQLite schema, and count its images."""
    with open_catalog(settings.catalog_address) as catalog:
        return sum(found.count for found in catalog.figures().images)


def _left(backup: Backup) -> tuple[str, ...]:
    prefect = (
        ()
        if backup.prefect
        else ("`python -m deployments.apply` puts the deployments on a Prefect server; make its Secret blocks anew",)
    )
    return (
        "see that the image storages are where their records say (`imagewright storages`, `imagewright doctor`)",
        f"`imagewright reconcile-storages --plan-only` names what changed on them after {backup.made_at:%Y-%m-%d %H:%M} UTC",
        *prefect,
    )

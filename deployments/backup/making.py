"""Make a backup: Prefect's database first, then the catalog, which then has the images of all completed runs."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from catalog import open_catalog
from catalog.errors import BackupFailed
from catalog.log import events
from catalog.records import Backup, BackupReport, KeptFile
from catalog.repository.reading.log import BACKUP
from catalog.settings import Settings
from catalog.store.tables import SCHEMA
from deployments.backup.databases import Database, database_at
from deployments.backup.places import MANIFEST, PREFIX, opened, workspace
from deployments.backup.prefect_database import prefect_database

CATALOG, PREFECT, STORAGES = "catalog.dump", "prefect.dump", "storages.json"
KEYS = ("console.key", "server.auth", "known_hosts")
"""Files of the home that a backup holds besides the databases."""
BLOCK = 1 << 20


def back_up(settings: Settings, place: str) -> BackupReport:
    """Make a backup in a place and note it in the catalog's log. Raises BackupFailed."""
    catalog_, prefect = database_at(settings.catalog_address), prefect_database()
    if not catalog_.exists():
        raise BackupFailed(place, "there is no catalog yet, so there is nothing to keep")
    with workspace(settings) as folder, opened(place) as kept:
        backup, storages = _written(settings, folder, catalog_, prefect)
        where = kept.keep(backup.name, folder)
    report = BackupReport(
        place=where,
        made_at=backup.made_at,
        images=backup.images,
        prefect=backup.prefect or "none is here",
        size_bytes=sum(file.size_bytes for file in backup.files),
        storages=storages,
    )
    with open_catalog(settings.catalog_address) as catalog, catalog.changing(actor="admin") as change:
        change.record(events.CATALOG_BACKED_UP, BACKUP, after=report)
    return report


def _written(settings: Settings, folder: Path, catalog_: Database, prefect: Database) -> tuple[Backup, tuple[str, ...]]:
    """Write the files and their manifest; return the manifest and the storages, whose bytes are not backed up."""
    prefects = prefect.kind if prefect.exists() else ""
    if prefects:
        prefect.dump(folder / PREFECT)
    with open_catalog(settings.catalog_address) as catalog:  # checks that it is our catalog, with the current schema
        figures, moment = catalog.figures(), catalog.now()
        storages = [
            record.model_dump(mode="json") for record in (*catalog.image_storages(), *catalog.primary_storages())
        ]
    catalog_.dump(folder / CATALOG)
    (folder / STORAGES).write_text(json.dumps(storages, indent=2))
    for name in KEYS:
        with suppress(FileNotFoundError):
            shutil.copyfile(settings.home / name, folder / name)
    backup = Backup(
        name=f"{PREFIX}{moment:%Y%m%dT%H%M%S}Z",
        made_at=moment,
        imagewright=version("imagewright"),
        prefect_version=version("prefect"),
        host=os.uname().nodename,
        catalog=catalog_.kind,
        schema_revision=SCHEMA,
        prefect=prefects,
        images=sum(found.count for found in figures.images),
        log_sequence=figures.sequence,
        files=tuple(kept_file(file) for file in sorted(folder.iterdir())),
    )
    (folder / MANIFEST).write_text(backup.model_dump_json(indent=2))
    return backup, tuple(f"{record['name']}: {record['url']}" for record in storages)


def kept_file(file: Path) -> KeptFile:
    """Return a file's entry in the manifest."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
            size += len(block)
    return KeptFile(name=file.name, size_bytes=size, sha256=digest.hexdigest())

"""Backups: what one holds, and what was restored. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime

from catalog.records.record import Record


class KeptFile(Record):
    """A file of a backup."""

    name: str
    size_bytes: int
    sha256: str


class Backup(Record):
    """What a backup holds: its manifest, written last. catalog, prefect: kind of database, empty where there was none."""

    version: int = 1
    name: str
    made_at: datetime
    imagewright: str
    prefect_version: str
    host: str
    catalog: str
    schema_revision: str
    prefect: str
    images: int
    log_sequence: int  # of the catalog's log: later entries are not in it
    files: tuple[KeptFile, ...] = ()


class BackupReport(Record):
    """What came of a backup. place: of it; storages: whose bytes are not in it, and stay where they are."""

    place: str
    made_at: datetime
    images: int
    size_bytes: int
    prefect: str
    storages: tuple[str, ...] = ()


class RestoreReport(Record):
    """What was restored. left: what has to be done by hand."""

    place: str
    made_at: datetime
    images: int
    files: tuple[str, ...]
    left: tuple[str, ...] = ()


class MigrationReport(Record):
    """What came of a home's move to a catalog that hosts share. host: whose its directories are now; left: to be done by hand."""

    catalog: str
    host: str
    records: int
    images: int
    storages: tuple[str, ...] = ()
    exports: int = 0
    uploads: int = 0
    left: tuple[str, ...] = ()

"""Records of backups, restores and the migration of a home. Import them from `catalog.records`."""

from datetime import datetime

from catalog.records.record import Record


class KeptFile(Record):
    """A file of a backup."""

    name: str
    size_bytes: int
    sha256: str


class Backup(Record):
    """The manifest of a backup, written last. catalog, prefect: kind of database, empty if there was none."""

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
    log_sequence: int  # last entry of the catalog's log in the backup
    files: tuple[KeptFile, ...] = ()


class BackupReport(Record):
    """The result of a backup.

    place: its location; storages: those whose bytes stay in place and are not in the backup.
    """

    place: str
    made_at: datetime
    images: int
    size_bytes: int
    prefect: str
    storages: tuple[str, ...] = ()


class RestoreReport(Record):
    """The result of a restore. left: steps to do by hand."""

    place: str
    made_at: datetime
    images: int
    files: tuple[str, ...]
    left: tuple[str, ...] = ()


class MigrationReport(Record):
    """The result of moving a home to a shared catalog.

    host: owner of its directories now; left: steps to do by hand.
    """

    catalog: str
    host: str
    records: int
    images: int
    storages: tuple[str, ...] = ()
    exports: int = 0
    uploads: int = 0
    left: tuple[str, ...] = ()

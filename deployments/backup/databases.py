"""Dump a whole database into a file while it is in use, and restore it: SQLite's online backup, PostgreSQL's tools."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from catalog.errors import BackupFailed
from catalog.files import made_aside
from catalog.privacy import make_folder

JOURNALS = ("-wal", "-shm", "-journal")
LIMIT_S = 24 * 3600.0
BUSY_S = 5.0


class Database(Protocol):
    """A database that can be dumped and restored."""

    @property
    def kind(self) -> str:
        """Return `sqlite` or `postgresql`."""
        ...

    def exists(self) -> bool:
        """Tell whether the database has any content."""
        ...

    def dump(self, file: Path) -> None:
        """Write the whole database, as of one moment, to a new file. Raises BackupFailed."""
        ...

    def restore(self, file: Path) -> None:
        """Replace the whole content by a dump's, all or nothing. Raises BackupFailed."""
        ...


@dataclass(frozen=True)
class Sqlite:
    """A SQLite database file."""

    path: Path
    kind: str = "sqlite"

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def dump(self, file: Path) -> None:
        """Copy all pages as of one moment while others write, then verify the copy."""
        read_only = f"{self.path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(read_only, uri=True)) as source, closing(sqlite3.connect(file)) as copy:
                source.backup(copy)
                (said,) = copy.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.Error as error:
            raise BackupFailed(str(self.path), f"its database can't be read: {error}") from error
        if said != "ok":
            raise BackupFailed(str(self.path), f"its database is damaged ({said}); restore an older backup")

    def restore(self, file: Path) -> None:
        """Replace the file by a copy of the dump. Raises BackupFailed if the present file is open somewhere."""
        make_folder(self.path.parent)
        if self.path.exists():
            self._end_journals()
        with made_aside(self.path) as aside:
            shutil.copyfile(file, aside)

    def _end_journals(self) -> None:
        """Checkpoint the journals into the file: SQLite would apply a journal left behind to the restored file."""
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as before:
                before.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise BackupFailed(str(self.path), "somebody has it open; stop what runs on this home first") from error
            for ending in JOURNALS:  # the file is no longer a database: nothing of it can be kept
                Path(f"{self.path}{ending}").unlink(missing_ok=True)


@dataclass(frozen=True)
class PostgreSQL:
    """A PostgreSQL database. url: an SQLAlchemy URL; programs get its password through their environment."""

    url: sa.URL
    kind: str = "postgresql"

    @property
    def shown(self) -> str:
        """Return the URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def exists(self) -> bool:
        """Tell whether the database has any tables."""
        engine = sa.create_engine(self.url.set(drivername="postgresql+psycopg", query=self._query()))
        try:
            with engine.connect() as connection:
                return bool(sa.inspect(connection).get_table_names())
        except sa.exc.DBAPIError as error:
            raise BackupFailed(self.shown, f"it does not answer: {str(error.orig).splitlines()[0]}") from error
        finally:
            engine.dispose()

    def dump(self, file: Path) -> None:
        """Run pg_dump in its custom format; it reads in one transaction."""
        self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")

    def restore(self, file: Path) -> None:
        """Run pg_restore in one transaction that first drops what exists."""
        self._run(
            "pg_restore", "--no-owner", "--no-privileges", "--clean", "--if-exists", "--single-transaction", str(file)
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [program, f"--dbname={self._address()}", *arguments]
        try:
            ended = subprocess.run(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise BackupFailed(self.shown, f"{program} is not installed (Debian package postgresql-client)") from error
        if ended.returncode:
            said = " ".join(ended.stderr.split())[-500:]
            raise BackupFailed(self.shown, f"{program} failed: {said}")

    def _address(self) -> str:
        plain = self.url.set(drivername="postgresql", password=None, query=self._query())
        return plain.render_as_string(hide_password=False)

    def _query(self) -> dict[str, str]:
        """Return the URL's parameters under libpq's names; asyncpg names one of them differently."""
        names = {"ssl": "sslmode"}
        return {
            names.get(name, name): value if isinstance(value, str) else value[0]
            for name, value in self.url.query.items()
        }

    def _environment(self) -> Mapping[str, str]:
        given = {"PGPASSWORD": str(self.url.password)} if self.url.password else {}
        return {**os.environ, **given}


def database_at(address: str) -> Database:
    """Return the database that an SQLAlchemy URL names, with any driver. Raises BackupFailed."""
    url = sa.make_url(address)
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return Sqlite(Path(str(url.database)))
    if backend == "postgresql":
        return PostgreSQL(url)
    raise BackupFailed(url.render_as_string(hide_password=True), "only SQLite files and PostgreSQL are backed up")

"""Check the database's schema: create a missing one, upgrade SQLite's, refuse any other.

The check takes one query; alembic (0.2 s to import) is loaded only if there is something to upgrade.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from catalog.errors import CatalogOutdated, CatalogUnavailable
from catalog.files import locked
from catalog.privacy import make_folder
from catalog.store.lines.triggers import KEEPING, NOTES
from catalog.store.sql import WRITER_LOCK, SqlStore, unavailable
from catalog.store.tables import METADATA, OLDEST, SCHEMA

_VERSION = sa.Table(
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True), sa.Column("readers", sa.Text)
)  # fmt: skip


def prepare(store: SqlStore, *, upgrade_shared: bool = False) -> None:
    """Make the schema ready for use. Raises CatalogOutdated, CatalogUnavailable.

    upgrade_shared: upgrade PostgreSQL too; by default an older one is refused, as other hosts may still run the older
    program. A newer schema is used if its own record says that this version may.
    """
    file = _file(store.engine)
    try:
        if file is not None:
            make_folder(file.parent)
            store.make_ready()
        found = revision(store.engine)
        if found is None and file is not None:
            _require_ours(store)
        if found is None or (found < SCHEMA and (file is not None or upgrade_shared)):
            found = _bring_up(store)
    except DBAPIError as error:
        raise unavailable(store.address, error) from error
    except OSError as error:
        raise CatalogUnavailable(store.address, str(error)) from error
    if found != SCHEMA and not (found or "") > SCHEMA >= _oldest_reader(store.engine, found or ""):
        raise CatalogOutdated(store.address, found or "", SCHEMA)


def revision(engine: sa.Engine) -> str | None:
    """Return the schema revision of a database, None for an empty database."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    found = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
    return None if found is None else str(found)


def _oldest_reader(engine: sa.Engine, found: str) -> str:
    """Return the oldest revision whose programs may use a newer schema; without a record, the schema's own."""
    try:
        with engine.connect() as connection:
            said = connection.execute(sa.select(_VERSION.c.readers)).scalar()
    except DBAPIError:
        said = None
    newest, _, oldest = str(said or "").partition(":")
    return oldest if newest == found and oldest else found


def _bring_up(store: SqlStore) -> str | None:
    """Create or upgrade the schema, one process at a time; return its revision."""
    with _alone(store.engine) as connection:
        found = _revision(connection)
        if found is None:
            for statement in _creation(connection.dialect.name):  # an empty database: everything in one transaction
                connection.exec_driver_sql(statement)
            connection.execute(sa.insert(_VERSION), {"version_num": SCHEMA, "readers": f"{SCHEMA}:{OLDEST}"})
        elif found < SCHEMA:
            from catalog.store.upgrade import upgrade

            upgrade(connection)
            connection.execute(sa.update(_VERSION), {"readers": f"{SCHEMA}:{OLDEST}"})
        return _revision(connection)


@cache
def _creation(database: str) -> tuple[str, ...]:
    """Return the statements that make an empty database a catalog; compiling them takes longer than running them."""
    said: list[str] = []

    def note(statement: sa.ClauseElement, *_: object) -> None:
        said.append(str(statement.compile(dialect=words.dialect)))

    words = sa.create_mock_engine(f"{database}://", note)
    for tables in (METADATA, _VERSION.metadata):
        tables.create_all(words, checkfirst=False)
    return (*said, *NOTES[database], *KEEPING[database])


def _require_ours(store: SqlStore) -> None:
    """Raise CatalogUnavailable if a file has another program's tables. A PostgreSQL database may have some."""
    with store.engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
    if tables and revision(store.engine) is None:  # in this order, as another process may be creating the catalog
        reason = "it is another program's database; name a new file or one that imagewright made"
        raise CatalogUnavailable(store.address, reason)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    file = _file(engine)
    with locked(file.parent) if file is not None else _nobody_else():
        if file is not None:
            _switch_to_wal(engine)
        with engine.connect() as connection, connection.execution_options(imagewright_writing=True).begin():
            if file is None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITER_LOCK)))
            yield connection


@contextmanager
def _nobody_else() -> Iterator[None]:
    yield


def _switch_to_wal(engine: sa.Engine) -> None:
    """Let readers work during a write. Stored in the file; impossible in a transaction or by two processes at once."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL").close()
    finally:
        connection.close()


def _file(engine: sa.Engine) -> Path | None:
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name else None

"""A store in SQLite or PostgreSQL, over SQLAlchemy Core.

One writer at a time on both: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by an advisory lock of the transaction. The event
log is one chain, so its writers would queue anyway; queueing before the first read lets every change see all earlier
ones, and no change ever has to be retried for a conflict.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from logging import getLogger
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError

from catalog.errors import CatalogFull, CatalogUnavailable
from catalog.records import Event, Image, Record, Replica
from catalog.store.ballast import LITTLE_BYTES, Ballast, free_bytes
from catalog.store.compiled import STATEMENTS
from catalog.store.lines.far import page_of_lines
from catalog.store.lines.line import LineOrder
from catalog.store.lines.sql import TOGETHER, enlist, is_behind, lines_beside, take_in, unlist
from catalog.store.protocol import Page, Query, Total
from catalog.store.record_kinds import EVENT, IMAGE, REPLICA, Key, Place, RecordKind
from catalog.store.rows import from_json, page_from, record_from
from catalog.store.sql_queries import names_asked, names_in_order, page_of
from catalog.store.sql_totals import total_from, totals_of
from catalog.store.tables import PLACES_TABLE, TABLES, UtcTime, row_of
from catalog.units import utc_now

R = TypeVar("R", bound=Record)
log = getLogger("imagewright.catalog")
WRITER_LOCK = 0x696D_6167_6577_7269  # "imagewri": the advisory lock in PostgreSQL
BUSY_TIMEOUT_S = 30
CACHE_KIB = 32 << 10  # most KiB of pages: holds the inner nodes of every index of a million images
FEW = 2000
"""Up to so many images with a common name prefix are found by the index of names. Sorting them costs as much as walking
50,000 images, the most that a page of 100 takes if there are more of them among a million."""
MAY_BE_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""SQLite's errors on a full disk when it can't create or enlarge its files beside the database."""
OUR_FAULT = (DataError, IntegrityError, ProgrammingError)


class SqlTransaction:
    """Reads and writes rows on one connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.found_behind = False

    def get(self, kind: RecordKind[R], key: Key) -> R | None:
        """Return a record, or None."""
        table = TABLES[kind.table]
        rows = self._connection.execute(sa.select(table).where(*_at(kind, key))).mappings()
        row = rows.first()
        return None if row is None else record_from(kind, dict(row))

    def page(self, kind: RecordKind[R], query: Query, after: Place | None, limit: int) -> Page[R]:
        """Walk an index from `after`: every page costs the same."""
        by_name = kind.table == IMAGE.table and self._finds_by_name(query)
        statement = page_of(kind, query, after, limit, self._connection.dialect.name, by_name=by_name)
        rows = self._connection.execute(statement)
        return page_from(kind, tuple(rows.keys()), rows)

    def lines(self, query: Query, order: LineOrder, *, down: bool, offset: int, limit: int) -> Sequence[str]:
        """Scan the lines of images, once or twice. Noted images are listed by their records."""
        self.found_behind = is_behind(self._connection)
        page = lines_beside if self.found_behind else page_of_lines
        return page(self._connection, query, order, down=down, offset=offset, limit=limit)

    def count(self, kind: RecordKind[Record]) -> int:
        """Return how many records there are."""
        return int(self._connection.execute(sa.select(sa.func.count(TABLES[kind.table].c[kind.key[0]]))).scalar_one())

    def totals(
        self, kind: RecordKind[Record], by: Sequence[str], sums: Sequence[str] = (), moments: Sequence[str] = ()
    ) -> Sequence[Total]:
        """Count records grouped by fields, in the database."""
        rows = self._connection.execute(totals_of(kind, by, sums, moments))
        return tuple(total_from(tuple(row), len(by), len(sums)) for row in rows)

    def last_event(self, until: datetime | None = None) -> Event | None:
        """Return the newest event (until a moment), or None."""
        table = TABLES[EVENT.table]
        newest = sa.select(table).order_by(table.c.sequence.desc()).limit(1)
        if until is not None:  # moments never go back, so the index of moments finds it too
            newest = sa.select(table).where(table.c.at <= until)
            newest = newest.order_by(table.c.at.desc(), table.c.sequence.desc()).limit(1)
        row = self._connection.execute(newest).mappings().first()
        return None if row is None else record_from(EVENT, dict(row))

    def now(self) -> datetime:
        """Return the moment by the database's clock; for SQLite by this host's, as all its users are on it."""
        if self._connection.dialect.name != "postgresql":
            return utc_now()
        return self._connection.execute(sa.select(sa.func.clock_timestamp(type_=UtcTime()))).scalar_one()

    def insert(self, kind: RecordKind[R], record: R) -> None:
        """Add a record."""
        self.insert_all(kind, (record,))

    def insert_all(self, kind: RecordKind[R], records: Sequence[R]) -> None:
        """Add records of one kind with new keys, together: one by one a whole catalog takes hours."""
        rows = [row_of(kind, record) for record in records]
        if rows:  # a single row is passed by itself: in a list it would cost one more round trip
            self._connection.execute(sa.insert(TABLES[kind.table]), rows if len(rows) > 1 else rows[0])
        if images := [record for record in records if isinstance(record, Image)]:
            enlist(self._connection, images)
        for record in records:
            if isinstance(record, Replica):
                self._connection.execute(placing(record))

    def update(self, kind: RecordKind[R], record: R) -> None:
        """Replace the record with this key."""
        key = kind.key_of(record)
        self._connection.execute(sa.update(TABLES[kind.table]).where(*_at(kind, key)), row_of(kind, record))
        if isinstance(record, Image):
            unlist(self._connection, (record.id,))
            enlist(self._connection, (record,))
            here = PLACES_TABLE.c.image_id == record.id
            self._connection.execute(sa.update(PLACES_TABLE).where(here), {"created_at": record.created_at})

    def delete(self, kind: RecordKind[Record], key: Key) -> None:
        """Delete a record; a no-op if there is none."""
        if kind.table == IMAGE.table:
            unlist(self._connection, (str(key[0]),))
        elif kind.table == REPLICA.table:
            places = PLACES_TABLE.c
            here = (places.image_id == key[0]) & (places.image_storage == key[1])
            self._connection.execute(sa.delete(PLACES_TABLE).where(here))
        self._connection.execute(sa.delete(TABLES[kind.table]).where(*_at(kind, key)))

    def _finds_by_name(self, query: Query) -> bool:
        """Tell whether the index of names finds a page directly, or few enough images to sort."""
        asked = names_asked(query)
        if asked is None or names_in_order(query):
            return asked is not None
        found = sa.select(sa.func.count()).select_from(asked.limit(FEW + 1).subquery())
        return int(self._connection.execute(found).scalar_one()) <= FEW


def placing(replica: Replica) -> sa.Insert:
    """Return the statement that adds a replica to the list of its storage's images."""
    images = TABLES[IMAGE.table]
    here = sa.literal(replica.image_storage), images.c.created_at, images.c.id
    image = sa.select(*here).where(images.c.id == replica.image_id)
    return sa.insert(PLACES_TABLE).from_select(["image_storage", "created_at", "image_id"], image)


def _at(kind: RecordKind[Record], key: Key) -> list[sa.ColumnElement[bool]]:
    table = TABLES[kind.table]
    return [table.c[field] == value for field, value in zip(kind.key, key, strict=True)]


class SqlStore:
    """Keeps rows in a database; many threads, processes and hosts may share it."""

    page_size = 500

    def __init__(self, engine: sa.Engine, reserve_bytes: int = 0) -> None:
        self.engine = engine
        frozen = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        self._reader = engine.execution_options(**frozen)
        self.shared = engine.dialect.name != "sqlite"
        self.address = engine.url.render_as_string(hide_password=True)
        database = engine.url.database
        self._ballast = Ballast(Path(database), reserve_bytes) if not self.shared and database else None

    @contextmanager
    def _connected(self, *, writing: bool, at_once: bool = False) -> Iterator[sa.Connection]:
        self.make_ready()
        if writing and self._ballast is not None and self._ballast.refuses():
            raise CatalogFull(self.address, str(self._ballast.folder), free_bytes(self._ballast.folder))
        try:
            with (self.engine if writing else self._reader).connect() as connection:
                connection.execution_options(imagewright_writing=writing, imagewright_at_once=at_once)
                with connection.begin():
                    yield connection
        except OUR_FAULT:
            raise  # waiting does not help: a retry would only hide it
        except DBAPIError as error:
            raise unavailable(self.address, error) from error

    def make_ready(self) -> None:
        """Free the reserve on the catalog's disk if the next work may use it; see `catalog.store.ballast`."""
        if self._ballast is not None:
            self._ballast.before_use()

    @contextmanager
    def reading(self) -> Iterator[SqlTransaction]:
        """Read one moment of the database. Lines that lag behind an older program's writes are updated afterwards."""
        with self._connected(writing=False) as connection:
            transaction = SqlTransaction(connection)
            yield transaction
        if transaction.found_behind:
            self._catch_up()

    def _catch_up(self) -> None:
        """Update the lines of noted images in batches.

        Lists don't depend on it: it neither waits for a writer nor needs write access.
        """
        try:
            while self._take_in() == TOGETHER:
                pass
        except (CatalogUnavailable, DBAPIError) as error:
            log.info("some images are listed by their records until their lines can be brought up to date: %s", error)

    def _take_in(self) -> int:
        with self._connected(writing=True, at_once=True) as connection:
            if connection.dialect.name == "postgresql":
                mine = connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(WRITER_LOCK))).scalar_one()
                return take_in(connection, TOGETHER) if mine else 0
            return take_in(connection, TOGETHER)

    @contextmanager
    def writing(self) -> Iterator[SqlTransaction]:
        """Wait for earlier writers, then read and write; commit at the end."""
        with self._connected(writing=True) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITER_LOCK)))
            yield SqlTransaction(connection)

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def unavailable(address: str, error: DBAPIError) -> CatalogUnavailable:
    """Translate a database's own error, of which only the first line is for people."""
    folder = Path(address.removeprefix("sqlite:///")).parent
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the higher bits say in which call
    if code == sqlite3.SQLITE_FULL or (code in MAY_BE_FULL and 0 <= free_bytes(folder) < LITTLE_BYTES):
        return CatalogFull(address, str(folder), max(0, free_bytes(folder)))
    lines = str(error.orig).splitlines()
    return CatalogUnavailable(address, lines[0] if lines else "it gave no reason")


def parse(url: str) -> sa.URL | None:
    """Return the URL with its driver, or None for an unsupported database."""
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        return None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed if backend == "sqlite" and parsed.database not in (None, "", ":memory:") else None


def connect(url: sa.URL, reserve_bytes: int = 0) -> SqlStore:
    """Create a store for a database without connecting.

    reserve_bytes: on SQLite's disk, see `catalog.store.ballast`.
    """
    if url.get_backend_name() == "sqlite":
        return SqlStore(_sqlite_engine(url), reserve_bytes)
    return SqlStore(_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True))


def _engine(url: sa.URL, **options: object) -> sa.Engine:
    compiled = {"compiled_cache": STATEMENTS}
    return sa.create_engine(url, json_deserializer=from_json, execution_options=compiled, **options)


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    engine = _engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we send BEGIN ourselves: the driver begins too late for a snapshot
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")  # a Ready image stays Ready through a power cut
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        at_once = options.get("imagewright_at_once", False)
        if at_once:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("imagewright_writing", False) else "BEGIN")
        finally:
            if at_once:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")

    return engine


ALLOWED = "a URL that starts with sqlite:///, postgresql+psycopg:// or memory://"

"""The schema: migrations and records agree, opening is quick and safe beside others."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from catalog import errors, open_catalog
from catalog.log.entries import LATER, sealed
from catalog.migrate import main
from catalog.records import Event
from catalog.store import sql
from catalog.store.protocol import EVERYTHING
from catalog.store.record_kinds import EVENT, IMAGE, IMAGE_STORAGE, REPLICA
from catalog.store.schema import revision
from catalog.store.sql import SqlStore, connect, parse
from catalog.store.tables import BEHIND_TABLE, METADATA, OLDEST, SCHEMA, TABLES, row_of
from catalog.store.upgrade import revisions, upgrade
from tests.catalog.samples import START, a_replica, a_storage, an_image
from tests.services.postgresql import url_of

SQL = ("sqlite", "postgresql")


def store_at(url: str) -> SqlStore:
    parsed = parse(url)
    assert parsed is not None
    return connect(parsed)


def columns(engine: sa.Engine) -> dict[str, object]:
    """Describe all tables as the database sees them, without the order of columns."""
    inspector = sa.inspect(engine)
    return {
        table: (
            {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)},
            sorted(str(i["column_names"]) for i in inspector.get_indexes(table)),
            sorted(str((f["constrained_columns"], f["referred_table"])) for f in inspector.get_foreign_keys(table)),
            inspector.get_pk_constraint(table)["constrained_columns"],
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


@pytest.mark.parametrize("kind", SQL)
def test_migrations_and_records_describe_the_same_tables(kind: str, tmp_path: Path) -> None:
    created, migrated = (
        store_at(url_of(kind, tmp_path, empty=True)),
        store_at(url_of(kind, tmp_path / "m", empty=True)),
    )
    (tmp_path / "m").mkdir()
    open_catalog(created.engine.url.render_as_string()).close()
    with migrated.engine.begin() as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, METADATA)
    assert differences == [], (
        "a record changed: add a revision under catalog/migrations/versions/many_hosts and raise SCHEMA"
    )
    assert columns(created.engine) == columns(migrated.engine)
    assert revision(migrated.engine) == SCHEMA


def test_the_newest_revision_is_the_one_the_program_needs() -> None:
    assert ScriptDirectory.from_config(revisions()).get_heads() == [SCHEMA]


@pytest.mark.parametrize("kind", SQL)
def test_a_newer_schema_is_refused(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path, empty=True)
    open_catalog(url).close()
    with store_at(url).engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(errors.CatalogOutdated, match=f"has schema 9999, this program needs {SCHEMA}"):
        open_catalog(url)


@pytest.mark.parametrize("kind", SQL)
def test_a_newer_schema_that_only_adds_is_used_by_the_programs_before_it(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path, empty=True)
    open_catalog(url).close()
    newer = f"UPDATE alembic_version SET version_num = '9999', readers = '9999:{SCHEMA}'"
    with store_at(url).engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE image_storages ADD COLUMN of_tomorrow TEXT"))
        connection.execute(sa.text(newer))
    with open_catalog(url) as catalog, catalog.changing(actor="a") as change:
        change.save_image_storage(a_storage())
        assert "near" in {storage.name for storage in change.image_storages()}


@pytest.mark.parametrize("before", [f"{number:04}" for number in range(int(OLDEST), int(SCHEMA))])
@pytest.mark.parametrize("kind", SQL)
def test_a_program_of_before_a_migration_reads_and_writes_on_beside_it(kind: str, before: str, tmp_path: Path) -> None:
    url, old = url_of(kind, tmp_path, empty=True), sa.MetaData()
    store = store_at(url)
    with store.engine.begin() as connection:
        upgrade(connection, before)
    with store.engine.connect() as open_before:  # a worker of the version before, which knows the tables of then
        old.reflect(open_before)
        tables = [table for table in old.sorted_tables if table.name != "alembic_version"]
        open_before.execute(sa.insert(old.tables["image_storages"]), whole_row(old.tables["image_storages"], "early"))
        open_before.commit()
        assert main([url]) == 0
        for table in tables:
            if table.name != BEHIND_TABLE.name:  # the database itself notes there each image that is written
                open_before.execute(sa.insert(table), whole_row(table, "late"))
        open_before.commit()
        for table in tables:
            wrote = 2 if table.name == "image_storages" else 1
            assert (
                open_before.execute(sa.select(sa.func.count()).select_from(table.select().subquery())).scalar() == wrote
            )
    assert revision(store.engine) == SCHEMA
    with store.reading() as transaction:  # one of today beside it: what is there of storages is whole
        found = transaction.page(IMAGE_STORAGE, EVERYTHING, None, 9)
    assert [storage.name for storage in found.all()] == ["early", "late"]


def whole_row(table: sa.Table, key: str) -> dict[str, object]:
    """Return a row with a value in each column that needs one, as a program writes that knows no column besides."""
    values: dict[type, object] = {str: key, int: 1, float: 1.0, bool: False, dict: {}, datetime: datetime.now(UTC)}
    row = {c.name: values[c.type.python_type] for c in table.columns if not c.nullable}
    if table.name == "image_storages":
        row |= {n: v for n, v in row_of(IMAGE_STORAGE, a_storage(key)).items() if n in table.columns}
    return row


@pytest.mark.parametrize("kind", SQL)
def test_storages_of_an_older_catalog_are_of_no_host_by_name(kind: str, tmp_path: Path) -> None:
    url, storage = url_of(kind, tmp_path, empty=True), a_storage()
    with store_at(url).engine.begin() as connection:
        upgrade(connection, "0007")
        there = {column["name"] for column in sa.inspect(connection).get_columns("image_storages")}
        row = {name: value for name, value in row_of(IMAGE_STORAGE, storage).items() if name in there}
        connection.execute(
            sa.insert(sa.table("image_storages", *(sa.column(n, TABLES["image_storages"].c[n].type) for n in row))), row
        )
    assert main([url]) == 0
    with open_catalog(url) as catalog:
        assert catalog.image_storage("near") == storage
        assert (storage.host, storage.shared) == (None, False)


@pytest.mark.parametrize("kind", SQL)
def test_many_may_open_a_new_catalog_at_once(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path, empty=True)

    def storages(_: int) -> tuple[str, ...]:
        with open_catalog(url) as catalog:
            return tuple(storage.name for storage in catalog.image_storages())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(storages, range(16))) == {("default",) if kind == "sqlite" else ()}
    with open_catalog(url) as catalog:
        assert catalog.verify_events() == (2 if kind == "sqlite" else 0)


def test_the_command_creates_a_catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/deep/catalog.db"
    assert main([url]) == 0
    assert main(["mysql://x"]) == 1
    out, err = capsys.readouterr()
    assert f"schema {SCHEMA}" in out
    assert "postgresql+psycopg://" in err


def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(errors.CatalogUnavailable) as caught:
        open_catalog("postgresql://someone:secret@127.0.0.1:1/nothing")
    assert caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://u:pw@h/x", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_another_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        open_catalog(url)
    assert "pw" not in str(caught.value)


def test_opening_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from catalog import open_catalog\n"
        "with open_catalog() as catalog: list(catalog.images())\n"
        "print(sorted(sys.modules.keys() & {'alembic', 'numpy', 'pandas', 'prefect', 'great_expectations', 'psycopg'}))"
    )
    environment = {**os.environ, "IMAGEWRIGHT_HOME": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_readers_view_is_not_blocked_by_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.db"
    with open_catalog(url) as writer, open_catalog(url) as reader, writer.changing(actor="a") as change:
        change.record("test.event", "image:x")
        assert len(list(reader.events())) == 2


@pytest.mark.parametrize("kind", SQL)
def test_an_older_catalog_is_upgraded_with_what_it_knows(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path, empty=True)
    store = store_at(url)
    with store.engine.begin() as connection:
        upgrade(connection, "0001")
        event = sealed(Event(sequence=1, at=START, kind="k", subject="image:x", actor="a"))
        old = {name: value for name, value in row_of(EVENT, event).items() if name not in LATER}
        columns = sa.table(EVENT.table, *(sa.column(name, TABLES[EVENT.table].c[name].type) for name in old))
        connection.execute(sa.insert(columns), old)
    if kind == "postgresql":
        with pytest.raises(errors.CatalogOutdated, match="has schema 0001"):
            open_catalog(url)
        assert main([url]) == 0
    with open_catalog(url) as catalog:
        assert next(catalog.events()) == event
        assert catalog.verify_events() == (3 if kind == "sqlite" else 1)  # with the default storages


@pytest.mark.parametrize("kind", SQL)
def test_what_storages_held_before_is_listed_after_an_upgrade(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path, empty=True)
    image = an_image()
    with store_at(url).engine.begin() as connection:
        upgrade(connection, "0003")
        for table, record in ((IMAGE, image), (REPLICA, a_replica(image, "far"))):
            there = {column["name"] for column in sa.inspect(connection).get_columns(table.table)}
            row = {name: value for name, value in row_of(table, record).items() if name in there}
            connection.execute(sa.insert(TABLES[table.table]), row)
    assert main([url]) == 0
    with open_catalog(url) as catalog:
        assert list(catalog.images(image_storage="far")) == [image]
        assert list(catalog.images(image_storage="near")) == []


def test_opening_and_listing_costs_little_more_than_its_libraries(tmp_path: Path) -> None:
    ours = "from catalog import open_catalog\nwith open_catalog() as catalog: list(catalog.images())"
    environment = {**os.environ, "IMAGEWRIGHT_HOME": str(tmp_path)}

    def seconds(program: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    seconds(ours)  # makes the catalog
    libraries = min(seconds("import pydantic_settings, pyrsistent, sqlalchemy") for _ in range(3))
    assert min(seconds(ours) for _ in range(3)) < 2 * libraries + 0.1


def test_a_catalog_that_is_busy_for_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BUSY_TIMEOUT_S", 0.1)
    url = f"sqlite:///{tmp_path}/catalog.db"
    with open_catalog(url) as one, open_catalog(url) as other, one.changing(actor="a"):
        busy = pytest.raises(errors.CatalogUnavailable, match="database is locked")
        with busy as caught, other.changing(actor="b"):
            pytest.fail("two write at once")
    assert caught.value.retryable


def test_a_file_that_is_no_catalog_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(errors.CatalogUnavailable, match=r"catalog.db is unavailable: file is not a database"):
        open_catalog(f"sqlite:///{tmp_path}/catalog.db")


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(errors.CatalogUnavailable, match="another program's database; name a new file"):
        open_catalog(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_catalog_that_hosts_share_gets_no_storage_by_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of("postgresql", tmp_path)
    for host in ("one", "other"):
        monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / host))
        with open_catalog(url) as catalog:
            assert [list(catalog.image_storages()), list(catalog.primary_storages())] == [[], []]
            with pytest.raises(
                errors.StorageNotFound,
                match="none is registered in this catalog; `imagewright register-image-",
            ):
                catalog.image_storage("default")
            with pytest.raises(errors.PrimaryStorageNotFound, match="`imagewright register-primary-storage` adds one"):
                catalog.primary_storage("default")

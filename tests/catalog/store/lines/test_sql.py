"""Lists of images where a program older than their lines writes beside us: nothing is hidden, and nothing shown that was closed."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from catalog import errors, open_catalog
from catalog.migrate import main
from catalog.records import BootFacts, Image, ImageStatus
from catalog.repository.catalog import Catalog
from catalog.rules.accounts.sharing import grantees
from catalog.store import sql
from catalog.store.lines.line import LineOrder, line_of
from catalog.store.record_kinds import IMAGE
from catalog.store.sql import SqlStore
from catalog.store.tables import BEHIND_TABLE, LINES_TABLE, row_of
from catalog.store.upgrade import upgrade
from tests.catalog.samples import START, a_replica, a_storage, an_image, opened, saved
from tests.catalog.store.test_schema import SQL, store_at
from tests.services.postgresql import url_of

ORDERS = get_args(LineOrder)


@dataclass(frozen=True)
class Older:
    """A program of before the lines: it knows the tables of then, and writes what it knows."""

    engine: sa.Engine
    tables: sa.MetaData

    def adds(self, *images: Image) -> None:
        """Write new images."""
        with self.engine.begin() as connection:
            for image in images:
                connection.execute(sa.insert(self.tables.tables["images"]), self._row(image))
                self._share(connection, image)

    def saves(self, image: Image) -> None:
        """Write an image that is there."""
        table, shares = self.tables.tables["images"], self.tables.tables["image_shares"]
        with self.engine.begin() as connection:
            connection.execute(sa.update(table).where(table.c.id == image.id), self._row(image))
            connection.execute(sa.delete(shares).where(shares.c.image_id == image.id))
            self._share(connection, image)

    def deletes(self, image: Image) -> None:
        """Delete an image that is shared with nobody."""
        table = self.tables.tables["images"]
        with self.engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.id == image.id))

    def _row(self, image: Image) -> dict[str, object]:
        known = self.tables.tables["images"].columns
        return {name: value for name, value in row_of(IMAGE, image).items() if name in known}

    def _share(self, connection: sa.Connection, image: Image) -> None:
        for name in grantees(image):
            row = {"grantee": name, "created_at": image.created_at, "image_id": image.id}
            connection.execute(sa.insert(self.tables.tables["image_shares"]), row)


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    return url_of(request.param, tmp_path, empty=True)


@pytest.fixture
def older(url: str) -> Iterator[Older]:
    """Yield a program that opened the catalog before the migration and goes on behind it."""
    store, tables = store_at(url), sa.MetaData()
    with store.engine.begin() as connection:
        upgrade(connection, "0013")
        tables.reflect(connection)
    assert main([url]) == 0
    yield Older(store.engine, tables)
    store.close()


@pytest.fixture
def catalog(url: str, older: Older) -> Iterator[Catalog]:
    with opened(url) as ready:
        yield ready


def engine_of(catalog: Catalog) -> sa.Engine:
    assert isinstance(catalog._store, SqlStore)
    return catalog._store.engine


def noted(catalog: Catalog) -> set[str]:
    with engine_of(catalog).connect() as connection:
        return set(connection.execute(sa.select(BEHIND_TABLE.c.image_id)).scalars())


def lines(catalog: Catalog) -> dict[str, dict[str, object]]:
    """Return the lines, but for the storage that the database puts there."""
    known = [column for column in LINES_TABLE.columns if column.name != "storage"]
    with engine_of(catalog).connect() as connection:
        return {row["image_id"]: dict(row) for row in connection.execute(sa.select(*known)).mappings()}


def first_storages(catalog: Catalog) -> dict[str, str | None]:
    with engine_of(catalog).connect() as connection:
        rows = connection.execute(sa.select(LINES_TABLE.c.image_id, LINES_TABLE.c.storage))
        return {row[0]: row[1] for row in rows}


def seen(catalog: Catalog, account: str | None = None, *words: str) -> set[str]:
    return {image.id for image in catalog.images_in_order(words, account=account)}


def only_reads(catalog: Catalog) -> None:
    """Let every connection of a catalog refuse to write, as a copy that follows or a role that may only read does."""
    engine = engine_of(catalog)
    engine.dispose()

    @sa.event.listens_for(engine, "connect")
    def refuse(connection: Any, _record: object) -> None:
        if engine.dialect.name == "sqlite":
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.read_only = True


@pytest.mark.parametrize("way", ["writes", "only reads"])
def test_what_an_older_program_writes_is_listed_at_once_and_as_it_is_shared(
    catalog: Catalog, older: Older, way: str
) -> None:
    kept, closed = saved(
        catalog,
        an_image(name="kept", owner="alice"),
        an_image(name="closed", owner="alice", sharing_mode="specified", shared_accounts=("bob",)),
    )
    if way == "only reads":
        only_reads(catalog)
    new = an_image(name="new here", owner="alice", sharing_mode="specified", shared_accounts=("carl",))
    older.adds(new)
    assert seen(catalog) == seen(catalog, "alice") == {kept.id, closed.id, new.id}
    assert seen(catalog, "bob") == {closed.id}
    assert seen(catalog, "carl") == seen(catalog, "carl", "HERE") == {new.id}

    older.saves(closed.model_copy(update={"sharing_mode": "none", "shared_accounts": ()}))
    assert seen(catalog, "bob") == set()
    assert seen(catalog, "alice", "closed") == {closed.id}

    older.saves(kept.model_copy(update={"name": "renamed", "sharing_mode": "global"}))
    assert seen(catalog, "bob") == seen(catalog, "bob", "renamed") == {kept.id}
    assert seen(catalog, None, "kept") == set()

    older.saves(kept)
    older.deletes(kept)
    assert seen(catalog) == {closed.id, new.id}
    assert kept.id not in lines(catalog)
    assert noted(catalog) == (set() if way == "writes" else {closed.id, new.id})


def test_sharing_that_is_closed_past_every_program_is_closed_in_lists(catalog: Catalog, older: Older) -> None:
    public, named = saved(
        catalog, an_image(sharing_mode="global"), an_image(sharing_mode="specified", shared_accounts=("bob",))
    )
    with older.engine.begin() as connection:
        connection.execute(sa.text("UPDATE images SET sharing_mode = 'none'"))
    assert noted(catalog) == {public.id, named.id}
    assert seen(catalog, "bob") == set()
    assert noted(catalog) == set()
    assert seen(catalog, "bob") == set()


def test_what_we_write_ourselves_is_not_behind(catalog: Catalog, older: Older) -> None:
    (image,) = saved(catalog, an_image(labels=("a=1", "b=2")))
    assert noted(catalog) == set()
    older.saves(image.model_copy(update={"name": "theirs"}))
    assert noted(catalog) == {image.id}
    (image,) = saved(catalog, image.model_copy(update={"name": "ours"}))
    assert noted(catalog) == set()
    older.saves(image)
    with catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    assert noted(catalog) == set() == set(lines(catalog))


def test_the_database_keeps_where_an_image_lies_first_whoever_writes(catalog: Catalog, older: Older) -> None:
    (image,) = saved(catalog, an_image())
    with catalog.changing(actor="admin") as change:
        for name in ("b", "a"):
            change.save_image_storage(a_storage(name))
            change.save_replica(a_replica(image, image_storage=name))
    assert first_storages(catalog) == {image.id: "a"}
    (image,) = saved(catalog, image.model_copy(update={"name": "its line is written anew"}))
    assert first_storages(catalog) == {image.id: "a"}
    places = older.tables.tables["image_places"]
    with older.engine.begin() as connection:
        connection.execute(sa.delete(places).where(places.c.image_storage == "a"))
    assert first_storages(catalog) == {image.id: "b"}
    with catalog.changing(actor="admin") as change:
        change.remove_replica(image.id, "b")
    assert first_storages(catalog) == {image.id: None}


def mixed(older: Older, catalog: Catalog) -> Sequence[Image]:
    """Write images that differ in everything lists are sorted by, every second one by an older program."""
    images = [
        an_image(
            name=f"{'aB'[number % 2]}{number}", status=list(ImageStatus)[number % 3], owner="xyz"[number % 3],
            virtual_size_bytes=(None, number << 40)[number % 4 > 0], format=("raw", "qcow2")[number % 2],
            image_type=("System", "Volume")[number % 3 > 1], labels=("k=1",) if number % 2 else (),
            boot=BootFacts(guest_os=f"Rocky {number}") if number % 4 == 1 else None, family=("f", None)[number % 2],
            created_at=START + timedelta(hours=number // 3), sharing_mode=("none", "global")[number % 2],
        )
        for number in range(14)
    ]  # fmt: skip
    saved(catalog, *images[::3])
    older.adds(*(image for number, image in enumerate(images) if number % 3))
    with catalog.changing(actor="admin") as change:
        for image in images[::2]:
            change.save_replica(a_replica(image))
    return images


def test_lists_of_records_are_the_lists_of_lines(catalog: Catalog, older: Older) -> None:
    images = mixed(older, catalog)
    asked: list[dict[str, Any]] = [
        {}, {"account": "x"}, {"status": "Creating"}, {"image_storage": "default"}, {"labels": ("k=1",)},
        {"words": ("rocky",)}, {"family": "f"}, {"name_pattern": "a*"}, {"owner": "y", "account": "z"},
    ]  # fmt: skip

    def lists() -> Sequence[Sequence[str]]:
        return [
            [image.name for image in catalog.images_in_order(order=order, down=down, offset=offset, count=count, **one)]
            for order, down, one in itertools.product(ORDERS, (True, False), asked)
            for offset, count in ((0, 50), (3, 4))
        ]

    with catalog.changing(actor="a writer") as change:  # who lists meanwhile neither waits nor writes
        behind = len(noted(catalog))
        by_records = lists()
        assert len(noted(catalog)) == behind == len(images) * 2 // 3
        assert len(change.images_in_order()) == len(images)
    assert len(catalog.images_in_order()) == len(images)
    assert noted(catalog) == set()
    assert lists() == by_records
    assert lines(catalog) == {image.id: line_of(image) for image in images}


def test_many_are_brought_up_to_date_in_batches_while_many_list(
    catalog: Catalog, older: Older, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "TOGETHER", 3)
    images = [an_image(name=f"n{number}") for number in range(20)]
    older.adds(*images)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: seen(catalog, None, "n"), range(12)))
    assert all(ids == {image.id for image in images} for ids in found)
    assert len(catalog.images_in_order()) == len(images)
    assert noted(catalog) == set()
    assert lines(catalog) == {image.id: line_of(image) for image in images}


@pytest.mark.parametrize("way", ["writes", "only reads"])
def test_a_noted_row_that_holds_no_record_is_named(catalog: Catalog, older: Older, way: str) -> None:
    bad, good = saved(
        catalog,
        an_image(name="bad", owner="alice", sharing_mode="global"),
        an_image(name="good", owner="alice", sharing_mode="global"),
    )
    if way == "only reads":
        only_reads(catalog)
    spoilt = sa.text("UPDATE images SET status = 'Sleeping', sharing_mode = 'none' WHERE id = :id")
    with older.engine.begin() as connection:
        connection.execute(spoilt, {"id": bad.id})
    assert seen(catalog, "bob") == {good.id}
    assert not catalog.unreadable
    for _ in range(2):
        catalog.unreadable.clear()
        assert seen(catalog) == {good.id}
        assert set(catalog.unreadable) == {f"image:{bad.id}"}
    assert noted(catalog) == ({bad.id} if way == "only reads" else set())
    assert seen(catalog, "bob") == {good.id}
    catalog.strict = True
    with pytest.raises(errors.RecordUnreadable, match="Sleeping"):
        catalog.images_in_order()


def test_an_image_that_is_replaced_as_a_whole_keeps_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        (image,) = saved(catalog, an_image(name="first"))
        with engine_of(catalog).begin() as connection:  # its line goes with the row, by cascade
            connection.execute(sa.text("INSERT OR REPLACE INTO images SELECT * FROM images"))
        assert lines(catalog) == {}
        assert seen(catalog, None, "first") == {image.id} == set(lines(catalog))


def notes_of(engine: sa.Engine) -> list[str]:
    """Return what makes the notes, as the database keeps it."""
    asked = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
        "postgresql": "SELECT pg_get_triggerdef(oid) || pg_get_functiondef(tgfoid) FROM pg_trigger"
        " WHERE tgname LIKE 'image%' AND NOT tgisinternal ORDER BY 1",
    }
    with engine.connect() as connection:
        return list(connection.exec_driver_sql(asked[engine.dialect.name].replace("%", "%%")).scalars())


@pytest.mark.parametrize("kind", SQL)
def test_migrated_and_new_catalogs_note_alike(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    (tmp_path / "migrated").mkdir()
    made = store_at(url_of(kind, tmp_path, empty=True))
    migrated = store_at(url_of(kind, tmp_path / "migrated", empty=True))
    open_catalog(made.engine.url.render_as_string()).close()
    with migrated.engine.begin() as connection:
        upgrade(connection)
    assert notes_of(made.engine) == notes_of(migrated.engine)
    assert len(notes_of(made.engine)) == (5 if kind == "sqlite" else 3)

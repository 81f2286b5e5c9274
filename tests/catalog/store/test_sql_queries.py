"""Pages are read off an index in order: no query sorts what it does not return."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog import open_catalog
from catalog.records import Account, ImageStatus, Record
from catalog.store.protocol import Query
from catalog.store.record_kinds import (
    EVENT,
    EVENT_BY_SUBJECT,
    EXPORT,
    IMAGE,
    LEFTOVER,
    REPLICA,
    VOLUME,
    RecordKind,
)
from catalog.store.sql import SqlStore
from catalog.store.sql_queries import page_of
from tests.catalog.samples import START, an_image, saved
from tests.services.postgresql import url_of

PLACE = {"images": (START, "i"), "events": (5,), "replicas": ("i", "s")}
NOT_BINNED = tuple(s.value for s in ImageStatus if s is not ImageStatus.DELETED)
BOB = Account(name="bob", projects=("blue", "red"), created_at=START)


def plan_of(kind: RecordKind[Record], query: Query, folder: Path, *, by_name: bool = False) -> list[str]:
    """Return SQLite's plan of a page in the middle, one line a step."""
    with open_catalog(f"sqlite:///{folder}/catalog.db") as catalog:
        store = catalog._store
        assert isinstance(store, SqlStore)
        place = ("image:i", 5) if kind is EVENT_BY_SUBJECT else PLACE.get(kind.table, (START, "x"))
        statement = page_of(kind, query, place, 100, "sqlite", by_name=by_name).compile(
            store.engine, compile_kwargs={"literal_binds": True, "render_postcompile": True}
        )
        with store.engine.connect() as connection:
            return [str(row[3]) for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}"))]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "query", "index"),
    [
        (IMAGE, Query(), "ix_images_created_at_id"),
        (IMAGE, Query(among={"status": NOT_BINNED}), "ix_images_created_at_id"),
        (IMAGE, Query(among={"status": ("Deleted",)}), "ix_images_status_created_at_id"),
        (IMAGE, Query(among={"status": NOT_BINNED}, name_pattern="debian*"), "ix_images_created_at_id"),
        (IMAGE, Query(among={"status": NOT_BINNED, "owner": ("bob",)}), "ix_images_owner_created_at_id"),
        (IMAGE, Query(among={"status": ("Ready",), "owner": ("bob",)}), "ix_images_owner_created_at_id"),
        (IMAGE, Query(among={"status": ("Ready",), "family": ("f",)}), "ix_images_family_created_at_id"),
        (REPLICA, Query(among={"image_storage": ("s",)}), "ix_replicas_image_storage_image_id"),
        (REPLICA, Query(among={"image_id": ("i",)}), "sqlite_autoindex_replicas"),
        (EVENT, Query(among={"image_id": ("i",)}), "ix_events_image_id_sequence"),
        (EVENT, Query(), "INTEGER PRIMARY KEY"),
        (EXPORT, Query(), "ix_exported_images_created_at_id"),
        (LEFTOVER, Query(), "ix_leftovers_created_at_id"),
        (VOLUME, Query(), "ix_volumes_created_at_id"),
    ],
)
def test_a_page_walks_one_index(kind: RecordKind[Record], query: Query, index: str, tmp_path: Path) -> None:
    plan = plan_of(kind, query, tmp_path)
    assert any(index in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (
            Query(among={"status": NOT_BINNED}, visible_to=BOB),
            (
                "ix_images_owner_created_at_id",
                "ix_images_sharing_mode_created_at_id",
                "sqlite_autoindex_image_shares",
            ),
        ),
        (Query(among={"status": ("Error", "Deleted")}), ("ix_images_status_created_at_id",)),
        (Query(among={"status": NOT_BINNED}, stored_on="far"), ("sqlite_autoindex_image_places",)),
        (Query(among={"status": ("Deleted",)}, stored_on="far"), ("ix_images_status_created_at_id",)),
        (Query(among={"owner": ("bob",)}, stored_on="far"), ("ix_images_owner_created_at_id",)),
    ],
)
def test_branches_walk_an_index_each_and_only_their_pages_are_sorted(
    query: Query, indexes: tuple[str, ...], tmp_path: Path
) -> None:
    plan = plan_of(IMAGE, query, tmp_path)
    for index in indexes:
        assert any(index in step for step in plan), plan
    sorts = [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step]
    assert len(sorts) <= 1, plan


def test_one_name_is_read_off_its_index_in_order(tmp_path: Path) -> None:
    query = Query(among={"status": NOT_BINNED, "owner": ("bob",)}, name_pattern="debian 12")
    plan = plan_of(IMAGE, query, tmp_path, by_name=True)
    assert any("ix_images_name_created_at_id (name=?" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("viewer", [None, BOB])
def test_a_few_names_that_begin_alike_are_found_by_their_index(viewer: Account | None, tmp_path: Path) -> None:
    query = Query(among={"status": NOT_BINNED}, name_pattern="debian-1?-*", visible_to=viewer)
    plan = plan_of(IMAGE, query, tmp_path, by_name=True)
    assert any("ix_images_name_created_at_id (name>? AND name<?)" in step for step in plan), plan


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("few", [0, 10])
@pytest.mark.parametrize("end", ["a", "\ud7ff", chr(0x10FFFF), "z" + chr(0x10FFFF)])
def test_every_name_that_begins_so_is_found_and_no_other(
    kind: str, few: int, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.store.sql.FEW", few)
    names = [f"n{end}", f"n{end}!", f"n{end}{chr(0x10FFFF)}x", "n", "m", "o", "nb", "n\ue000", "n{"]
    with open_catalog(url_of(kind, tmp_path)) as catalog:
        saved(catalog, *(an_image(id=name, name=name) for name in names))
        found = [image.name for image in catalog.images(name_pattern=f"n{end}*")]
    assert found == sorted(names[:3], reverse=True)


@pytest.mark.parametrize("kind", [IMAGE, REPLICA, EXPORT, LEFTOVER, VOLUME])
def test_records_of_many_keys_are_looked_up_by_key(kind: RecordKind[Record], tmp_path: Path) -> None:
    keys = tuple(f"id-{number}" for number in range(500))
    plan = plan_of(kind, Query(among={kind.key[0]: keys}), tmp_path)
    assert any(f"sqlite_autoindex_{kind.table}" in step and f"{kind.key[0]}=?" in step for step in plan), plan


def test_the_log_is_read_by_subject_off_its_index(tmp_path: Path) -> None:
    plan = plan_of(EVENT_BY_SUBJECT, Query(up_to=7), tmp_path)
    assert any("ix_events_subject_sequence" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan

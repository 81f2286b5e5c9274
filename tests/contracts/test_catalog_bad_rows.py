"""A row that was damaged or changed past the catalog: it is named, and hides no other."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog import errors, open_catalog
from catalog.store.sql import SqlStore
from tests.catalog.samples import START, a_replica, an_image, opened
from tests.services.postgresql import url_of

SQL = ("sqlite", "postgresql")


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    return url_of(request.param, tmp_path)


def fill(url: str, count: int = 5) -> list[str]:
    """Put images, each with a replica, into a new catalog; return their ids, newest first."""
    with opened(url) as catalog, catalog.changing(actor="admin") as change:
        for number in range(count):
            image = change.save_image(an_image(created_at=START + timedelta(minutes=number)))
            change.save_replica(a_replica(image))
    with open_catalog(url) as catalog:
        return [image.id for image in catalog.images()]


def spoil(url: str, statement: str, **values: object) -> None:
    """Write into the tables past the catalog."""
    with open_catalog(url) as catalog:
        store = catalog._store
        assert isinstance(store, SqlStore)
        with store.engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
            connection.execute(sa.text(statement), values)


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("status = 'Sleeping'", r"its status is 'Sleeping'"),
        ("warnings = '{\"a\": 1}'", r"its warnings is \{'a': 1\}"),
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 500])
def test_a_bad_row_is_named_and_the_others_are_listed(url: str, assignment: str, told: str, page_size: int) -> None:
    ids = fill(url)
    spoil(url, f"UPDATE images SET {assignment} WHERE id = :id", id=ids[2])
    with open_catalog(url) as catalog:
        catalog._page_size = page_size
        assert [image.id for image in catalog.images()] == [*ids[:2], *ids[3:]]
        (error,) = catalog.unreadable.values()
        assert error.subject == f"image:{ids[2]}"
        with pytest.raises(errors.RecordUnreadable, match=told):
            catalog.image(ids[2])
        with pytest.raises(errors.RecordUnreadable), catalog.changing("admin") as change:
            tuple(change.images())


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("created_at = 'long ago'", "its created_at is no moment: 'long ago'"),
        ("updated_at = 'soon'", "its updated_at is no moment: 'soon'"),
        ("warnings = '[\"cut'", r"its warnings is not JSON: '\[\"cut'"),
    ],
)
def test_a_cell_that_only_sqlite_takes_hides_no_other(
    assignment: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    url = url_of("sqlite", tmp_path)
    ids = fill(url)
    for size in (1, 2, 500):
        spoil(url, f"UPDATE images SET {assignment} WHERE id = :id", id=ids[2])
        with open_catalog(url) as catalog:
            catalog._page_size = size
            found = [image.id for image in catalog.images()]
            assert found == [i for i in ids if i != ids[2]], size
            assert list(catalog.unreadable) == [f"image:{ids[2]}"]
            with pytest.raises(errors.RecordUnreadable, match=told):
                catalog.image(ids[2])


def test_who_deletes_what_is_not_listed_is_stopped(url: str) -> None:
    ids = fill(url)
    spoil(url, "UPDATE replicas SET status = 'Lost' WHERE image_id = :id", id=ids[1])
    with open_catalog(url, strict=True) as catalog:
        with pytest.raises(errors.RecordUnreadable, match=f"replica:{ids[1]}@default"):
            tuple(catalog.replicas())
        assert len(tuple(catalog.tolerant().replicas())) == 4


def test_reading_everything_finds_each_bad_row(url: str) -> None:
    ids = fill(url)
    with open_catalog(url) as catalog:
        count, unreadable = catalog.read_everything()
    assert not unreadable
    spoil(url, "UPDATE images SET status = 'Sleeping' WHERE id = :id", id=ids[0])
    spoil(url, "UPDATE replicas SET status = 'Lost' WHERE image_id = :id", id=ids[1])
    spoil(url, "UPDATE events SET after = '[1]' WHERE sequence = 3")
    with open_catalog(url) as catalog:
        readable, unreadable = catalog.read_everything()
    assert {error.subject for error in unreadable} == {
        f"image:{ids[0]}",
        f"replica:{ids[1]}@default",
        "event:3",
    }
    assert readable == count - 3


def test_a_bad_entry_of_the_log_is_not_proven(url: str) -> None:
    fill(url)
    spoil(url, "UPDATE events SET after = '[1]' WHERE sequence = 3")
    with open_catalog(url) as catalog:
        with pytest.raises(errors.LogDamaged):
            catalog.verify_events()
        with pytest.raises(errors.RecordUnreadable, match=r"event:.*3 can't be read"):
            dict(catalog.snapshot().items())

"""A home's catalog in PostgreSQL: everything is there, proven, and what lay on the machine is its own by name."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import HomeNotMigrated, ImagewrightError, InvalidRequest, LogDamaged, RecordNotLogged
from catalog.records import ImageStatus, ImageStorage
from catalog.settings import load_settings
from catalog.store.record_kinds import RECORD_KINDS
from catalog.store.sql import connect, parse
from deployments.backup.moving import migrate_home
from storage.uploads import Upload, Uploads
from tasks.images.export import export
from tests.deployments.backup.test_backup import done, run
from tests.flows.managed import blank, placed, register, saved
from tests.services.postgresql import new_database


@pytest.fixture
def target(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an empty database, named for what comes after the home was filled."""
    monkeypatch.setenv("IMAGEWRIGHT_HOST", "first")
    return new_database(empty=True)


def rows(url: str) -> dict[str, int]:
    parsed = parse(url)
    assert parsed is not None
    store = connect(parsed)
    with store.reading() as transaction:
        found = {kind.table: transaction.count(kind) for kind in RECORD_KINDS}
    store.close()
    return found


def fill(home: Path, disk: Path) -> None:
    register("disk", disk)
    for number in range(3):
        placed(storages=("disk",), name=f"data-{number}", sharing_mode="specified", shared_accounts=("bob",))
    (home / "console.key").write_bytes(b"k" * 32)


def test_every_record_is_there_and_what_lies_here_is_of_this_host(
    home: Path, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, tmp_path / "disk")
    with open_catalog() as catalog:
        images = {image.id: image for image in catalog.images()}
        events = tuple(catalog.events())
        far = ImageStorage(name="far", kind="imagestore", url="s3://bucket/x", created_at=catalog.now())
        with catalog.changing(actor="admin") as change:
            change.save_image_storage(far)
    exported = export.fn(next(iter(images)), "admin", None, None)
    before = rows(f"sqlite:///{home}/catalog.db")
    report = done("migrate-home", IMAGEWRIGHT_CATALOG_URL=target)
    assert (report["host"], report["images"], report["exports"], report["storages"]) == (
        "first", 3, 1, ["default", "disk", "default"],
    )  # fmt: skip
    assert report["records"] == sum(before.values())
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", target)
    after = rows(target)
    later = 5  # three storages, an export and the note are entries of the log
    assert after == {**before, "events": before["events"] + later, "shared_keys": 1}
    with open_catalog() as catalog:
        assert {image.id: image for image in catalog.images()} == images
        assert len(tuple(catalog.images(account="bob"))) == 3
        assert len(tuple(catalog.images(image_storage="disk"))) == 3
        assert tuple(catalog.events())[: len(events)] == events
        assert {storage.name: storage.host for storage in catalog.image_storages()} == {
            "default": "first", "disk": "first", "far": None,
        }  # fmt: skip
        assert next(catalog.exports(exported.image_id)).host == "first"
        assert (catalog.verify_events(), catalog.verify_tables()) == (after["events"], catalog.verify_tables())
        with catalog.changing(actor="bob") as change:
            assert change.shared_key("console", "00") == b"k".hex() * 32
    image = next(iter(images.values()))
    again = export.fn(image.id, "admin", None, None)
    assert again.sha256 == image.sha256
    refused = run("migrate-home", IMAGEWRIGHT_CATALOG_URL=target)
    assert (refused.returncode, "are not empty" in refused.stderr) == (2, True)
    assert rows(f"sqlite:///{home}/catalog.db") == before


def refused_as(error: type[ImagewrightError], match: str, target: str) -> None:
    """Require that a migration ends so, and leaves the target empty."""
    with pytest.raises(error, match=match):
        migrate_home(load_settings())
    assert set(rows(target).values()) == {0}


def test_a_catalog_that_is_damaged_is_refused_and_nothing_is_written(
    home: Path, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, tmp_path / "disk")
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", target)
    with closing(sqlite3.connect(home / "catalog.db")) as database:
        database.execute("UPDATE images SET name = 'x' WHERE name = 'data-1'")
        database.commit()
        refused_as(RecordNotLogged, "image:", target)
        database.execute("UPDATE images SET name = 'data-1' WHERE name = 'x'")
        database.execute("UPDATE events SET actor = 'x' WHERE sequence = 3")
        database.commit()
    refused_as(LogDamaged, "event 3", target)


def test_what_is_under_way_is_refused_and_uploads_get_their_host(
    home: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = saved(blank(status=ImageStatus.DOWNLOADING))
    upload = Upload(
        id=blank().id, length=9, filename="a", flow="add_volume_image", request="{}", created_at=datetime.now(UTC)
    )
    Uploads(load_settings()).create(upload)
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", target)
    refused_as(HomeNotMigrated, f"image {arriving.id}.*is Downloading", target)
    with open_catalog(f"sqlite:///{home}/catalog.db") as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(arriving.id).model_copy(update={"status": ImageStatus.ERROR}))
    assert migrate_home(load_settings()).uploads == 1
    with open_catalog() as catalog:
        assert len(tuple(catalog.upload_places("first"))) == 1


def test_a_home_without_a_catalog_and_a_target_that_is_none_are_named(
    home: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="an empty database in PostgreSQL"):
        migrate_home(load_settings())
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", target)
    (home / "catalog.db").unlink()
    with pytest.raises(HomeNotMigrated, match="there is no catalog in it"):
        migrate_home(load_settings())

"""Backed up, and restored onto an empty machine: every image exports with its digest."""

import json
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from catalog import open_catalog
from catalog.errors import BackupFailed
from catalog.records import Image
from catalog.settings import Settings, load_settings
from deployments.backup.making import back_up
from deployments.backup.restoring import restore
from tasks.images.export import export
from tests.flows.managed import blank, placed, register, saved
from tests.services.postgresql import new_database
from tests.services.process import find
from tests.services.s3 import KEY, SECRET, server
from tests.services.serving import COMMAND

BLOCKS = "CREATE TABLE block_document (name TEXT); INSERT INTO block_document VALUES ('mirror-login')"


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [COMMAND, *words, "--json"],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def done(*words: str, **environment: str) -> dict[str, object]:
    ended = run(*words, **environment)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert isinstance(answer, dict)
    return answer


DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def done_here(verb: str, place: str, *options: str, **environment: str) -> dict[str, object]:
    """Do in this process what the command does: loading it takes longer."""
    prefect = environment.get(DATABASE) or f"sqlite+aiosqlite:///{environment['PREFECT_HOME']}/prefect.db"
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: prefect}):
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = load_settings()
        if verb == "backup":
            return back_up(settings, place).model_dump(mode="json")
        return restore(settings, place, replace="--replace" in options).model_dump(mode="json")


def fill(home: Path, disk: Path) -> list[Image]:
    """Put images onto a storage outside of the home, and keys into it."""
    register("disk", disk)
    for name in ("console.key", "server.auth"):
        (home / name).write_bytes(os.urandom(32))
    return [placed(storages=("disk",)) for _ in range(3)]


def machine(folder: Path, name: str, prefect: bool = False) -> dict[str, str]:
    """Return the settings of a machine of its own. prefect: with a database that has something in it."""
    (folder / name / "prefect").mkdir(parents=True)
    if prefect:
        with closing(sqlite3.connect(folder / name / "prefect" / "prefect.db")) as database:
            database.executescript(BLOCKS)
    return {"IMAGEWRIGHT_HOME": str(folder / name / "home"), "PREFECT_HOME": str(folder / name / "prefect")}


@pytest.fixture
def first(home: Path, tmp_path: Path) -> dict[str, str]:
    return {**machine(tmp_path, "first", prefect=True), "IMAGEWRIGHT_HOME": str(home)}


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_from_nothing(
    home: Path, tmp_path: Path, first: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = fill(home, tmp_path / "disk")
    do = done_here if place == "s3" else done
    where, more = str(tmp_path / "backups"), dict[str, str]()
    if place == "s3":
        endpoint = server().endpoint
        where = f"s3://images/{tmp_path.name}"
        more = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    report = do("backup", where, **first, **more)
    assert (report["images"], report["prefect"]) == (3, "sqlite")
    assert str(report["place"]).startswith(where)
    keys = {name: (home / name).read_bytes() for name in ("console.key", "server.auth")}
    shutil.rmtree(home)
    second = machine(tmp_path, "second")
    restored = do("restore", where, **second, **more)
    assert restored["images"] == 3
    empty = Path(second["IMAGEWRIGHT_HOME"])
    assert {name: (empty / name).read_bytes() for name in keys} == keys
    assert (empty / "server.auth").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(Path(second["PREFECT_HOME"]) / "prefect.db")) as database:
        assert database.execute("SELECT name FROM block_document").fetchall() == [("mirror-login",)]
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(empty))
    for image in images:
        exported = export.fn(image.id, "admin", None, None)
        assert (exported.md5, exported.sha256) == (image.md5, image.sha256)
    with open_catalog() as catalog:
        catalog.verify_events()
        catalog.verify_tables()


def test_from_nothing_with_postgresql(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find("pg_dump", "postgresql-client")
    catalog_url, prefect_url = new_database(), new_database(empty=True)
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", catalog_url)
    images = fill(home, tmp_path / "disk")
    plain = sa.make_url(prefect_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE TABLE block_document (name TEXT)")
        connection.execute("INSERT INTO block_document VALUES ('mirror-login')")
    first = {
        "IMAGEWRIGHT_HOME": str(home),
        "IMAGEWRIGHT_CATALOG_URL": catalog_url,
        DATABASE: prefect_url.replace("+psycopg", "+asyncpg"),
    }
    report = done_here("backup", str(tmp_path / "backups"), **first)
    assert report["prefect"] == "postgresql"
    new_catalog, new_prefect = new_database(empty=True), new_database(empty=True)
    second = {
        **machine(tmp_path, "second"), "IMAGEWRIGHT_CATALOG_URL": new_catalog, DATABASE: new_prefect.replace("+psycopg", "+asyncpg"),
    }  # fmt: skip
    assert done_here("restore", str(tmp_path / "backups"), **second)["images"] == 3
    plain = sa.make_url(new_prefect).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        assert connection.execute("SELECT name FROM block_document").fetchall() == [("mirror-login",)]
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", new_catalog)
    monkeypatch.setenv("IMAGEWRIGHT_HOME", second["IMAGEWRIGHT_HOME"])
    for image in images:
        exported = export.fn(image.id, "admin", None, None)
        assert (exported.md5, exported.sha256) == (image.md5, image.sha256)
    with pytest.raises(BackupFailed, match="--replace"):
        done_here("restore", str(tmp_path / "backups"), **second)
    assert done_here("restore", str(tmp_path / "backups"), "--replace", **second)["images"] == 3


@pytest.fixture
def here(home: Path, tmp_path: Path) -> Iterator[Settings]:
    """Have this process be the machine, with a database of Prefect's of its own."""
    fill(home, tmp_path / "disk")
    with prefect_in(tmp_path / "prefect.db"):
        yield load_settings()


@contextmanager
def prefect_in(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file)) as database:
        database.executescript(BLOCKS)
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{file}"}):
        yield


def kept(settings: Settings, folder: Path) -> Path:
    return Path(back_up(settings, str(folder)).place)


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Settings:
    """Go on as a machine with an empty home."""
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(folder))
    return load_settings()


def names() -> int:
    with open_catalog() as catalog:
        return sum(1 for _ in catalog.images())


def test_what_is_there_is_replaced_only_if_told(here: Settings, tmp_path: Path) -> None:
    place = kept(here, tmp_path / "backups")
    placed(storages=("disk",))
    with pytest.raises(BackupFailed, match="there is one here already; `--replace`"):
        restore(here, str(place), replace=False)
    assert names() == 4
    restore(here, str(place), replace=True)
    assert names() == 3


def test_what_somebody_has_open_is_not_replaced(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.backup.databases.BUSY_S", 0.1)
    place = kept(here, tmp_path / "backups")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.release("nothing")
        with pytest.raises(BackupFailed, match="somebody has it open"):
            restore(here, str(place), replace=True)


@pytest.mark.parametrize("name", ["catalog.dump", "prefect.dump", "console.key", "storages.json"])
def test_a_backup_that_was_changed_changes_nothing(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = kept(here, tmp_path / "backups")
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).write_bytes(content)
    second = elsewhere(monkeypatch, tmp_path / "second")
    with pytest.raises(BackupFailed, match=f"its file {name} is not what was written"):
        restore(second, str(place), replace=True)
    assert not (second.home / "catalog.db").exists()


@pytest.mark.parametrize("name", ["../stray", "/etc/hostname"])
def test_a_manifest_leads_nowhere_else(here: Settings, tmp_path: Path, name: str) -> None:
    place = kept(here, tmp_path / "backups")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"][0]["name"] = name
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BackupFailed, match="is not what was written"):
        restore(here, str(place), replace=True)


def test_one_that_is_not_whole_is_none(here: Settings, tmp_path: Path) -> None:
    (kept(here, tmp_path / "backups") / "manifest.json").unlink()
    with pytest.raises(BackupFailed, match="not whole"):
        restore(here, str(tmp_path / "backups"), replace=True)


def test_nobody_else_reads_a_backup_and_the_log_tells_of_it(here: Settings, tmp_path: Path) -> None:
    place = kept(here, tmp_path / "backups")
    assert place.stat().st_mode & 0o077 == 0
    assert [file.name for file in place.iterdir() if file.stat().st_mode & 0o077] == []
    with open_catalog() as catalog:
        assert catalog.last_backup() is not None
    assert list(here.scratch_folder.iterdir()) == []


def test_without_a_catalog_there_is_nothing_to_keep(tmp_path: Path) -> None:
    refused = run("backup", str(tmp_path / "backups"), **machine(tmp_path, "first"))
    assert (refused.returncode, "there is no catalog yet" in refused.stderr) == (1, True)
    assert not (tmp_path / "backups").exists()


def test_a_backup_beside_writers_is_one_moment(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            saved(blank())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        places = [kept(here, tmp_path / name) for name in ("a", "b")]
    finally:
        ended.set()
        writer.join()
    for place in places:
        with prefect_in(tmp_path / f"prefect-{place.parent.name}.db"):
            restore(elsewhere(monkeypatch, tmp_path / f"restored-{place.parent.name}"), str(place), replace=True)
        with open_catalog() as catalog:
            assert catalog.verify_events() > 3
            assert catalog.verify_tables() > 3

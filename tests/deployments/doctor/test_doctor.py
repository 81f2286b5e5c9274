"""`imagewright doctor`: each thing that can be wrong is named, and what to do; nothing makes it hang."""

import json
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import ImageStorage
from catalog.settings import Settings, load_settings
from catalog.store.tables import SCHEMA
from deployments.doctor import catalog_health, host
from deployments.doctor.__main__ import main
from deployments.doctor.examine import Finding, examined
from tests.flows.managed import placed, register
from tests.services.process import free_port
from tests.services.serving import COMMAND

FIELDS = {"check", "ok", "sentence"}


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with nothing but a catalog."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for file in (home / "run").glob("*.json"):
        file.unlink()
    home.chmod(0o700)
    open_catalog().close()
    return home


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([COMMAND, "doctor", *words], capture_output=True, text=True, check=False, timeout=60)


def doctor(**environment: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Do in this process what the command does: loading it takes as long as all that it asks."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["imagewright doctor", "--json"])
        code = main()
    return code, read(out.getvalue())


def read(text: str) -> dict[str, dict[str, object]]:
    found = json.loads(text)
    assert all(set(one) == FIELDS for one in found)
    return {one["check"]: one for one in found}


def test_without_a_server_that_alone_is_wrong(alone: Path) -> None:
    done = command("--json")
    found = read(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert {name for name, one in found.items() if not one["ok"]} == {"prefect server"}
    assert "`imagewright serve` starts one" in str(found["prefect server"]["sentence"])
    wanted = {"home", "catalog", "settings", "image storage default", "primary storage default", "scratch", "clock",
              "programs", "libraries", "console key", "verification", "backup"}  # fmt: skip
    assert wanted <= set(found)


def test_an_empty_machine_is_left_empty(tmp_path: Path) -> None:
    code, found = doctor(IMAGEWRIGHT_HOME=str(tmp_path / "none"), PREFECT_API_URL="")
    assert code == 1
    assert not (tmp_path / "none").exists()
    assert (found["home"]["ok"], found["catalog"]["ok"]) == (True, True)


def test_people_get_lines(alone: Path) -> None:
    done = command()
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert sum(line.startswith("BAD  prefect server") for line in lines) == 1
    assert all(line.startswith(("ok ", "BAD")) for line in lines)


def test_open_homes_and_misspelt_settings(alone: Path) -> None:
    (alone / "console.key").write_bytes(bytes(31))
    (alone / "console.key").chmod(0o644)
    _, found = doctor(IMAGEWRIGHT_RETENTION_DAY="3", IMAGEWRIGHT_ALLOWED_NETWORKS="10.0.0")
    said = {name: str(found[name]["sentence"]) for name in ("home", "settings", "console key")}
    assert not any(found[name]["ok"] for name in said)
    assert "others can read console.key" in said["home"]
    assert "IMAGEWRIGHT_RETENTION_DAY is no setting; is IMAGEWRIGHT_RETENTION_DAYS meant?" in said["settings"]
    assert "'10.0.0' is no network" in said["settings"]
    assert "has 31 bytes" in said["console key"]
    code, found = doctor(IMAGEWRIGHT_RETENTION_DAYS="many")
    assert (code, list(found)) == (1, ["settings"])


def test_a_schema_of_another_version_is_named_and_left_alone(alone: Path) -> None:
    for version, remedy in {"0001": "catalog.migrate", "9999": "newer program"}.items():
        with closing(sqlite3.connect(alone / "catalog.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        code, found = doctor()
        sentence = str(found["catalog"]["sentence"])
        assert (code, found["catalog"]["ok"], f"schema {version}, not {SCHEMA}" in sentence, remedy in sentence) == (
            1,
            False,
            True,
            True,
        )
        assert "clock" not in found


def test_a_catalog_and_a_server_that_are_away(alone: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/x"
    _, found = doctor(IMAGEWRIGHT_CATALOG_URL=away, PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    assert (found["catalog"]["ok"], "is unavailable" in str(found["catalog"]["sentence"])) == (False, True)
    assert (found["prefect server"]["ok"], "does not answer" in str(found["prefect server"]["sentence"])) == (
        False,
        True,
    )


def test_what_never_answers_is_waited_for_a_few_seconds_only(alone: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        record = ImageStorage(
            name="silent",
            kind="imagestore",
            url="s3://bucket/x",
            endpoint=url,
            credentials="env:KEYS",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        with open_catalog() as catalog, catalog.changing(actor="admin") as change:
            change.save_image_storage(record)
        begun = time.monotonic()
        code, found = doctor(
            PREFECT_API_URL=f"{url}/api", KEYS="key:secret", IMAGEWRIGHT_CATALOG_URL=f"sqlite:///{alone}/catalog.db"
        )
    assert time.monotonic() - begun < 20
    assert code == 1
    for name in ("image storage silent", "prefect server", "deployments", "recovery"):
        assert not found[name]["ok"], found[name]
    assert found["image storage default"]["ok"]


def test_a_storage_that_lost_its_disk_is_not_made_anew(alone: Path, tmp_path: Path) -> None:
    register("disk", tmp_path / "disk")
    placed(storages=("disk",))
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    _, found = doctor()
    assert (found["image storage disk"]["ok"], "mounted" in str(found["image storage disk"]["sentence"])) == (
        False,
        True,
    )
    assert not (tmp_path / "disk").exists()


def test_full_storages_and_disabled_ones(alone: Path, tmp_path: Path) -> None:
    record = register("full", tmp_path / "full")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(record.model_copy(update={"reserve_bytes": 1 << 60}))
        change.save_image_storage(change.image_storage("default").model_copy(update={"state": "Disabled"}))
    _, found = doctor()
    assert (found["image storage full"]["ok"], "it is full" in str(found["image storage full"]["sentence"])) == (
        False,
        True,
    )
    assert "it is disabled" in str(found["image storage default"]["sentence"])


def old(settings: Settings, days: int) -> None:
    """Let everything in the catalog have happened days earlier."""
    with closing(sqlite3.connect(settings.home / "catalog.db")) as database, database:
        for table, column in (("replicas", "created_at"), ("replicas", "verified_at"), ("events", "at")):
            database.execute(f"UPDATE {table} SET {column} = datetime({column}, '-{days} days')")


def test_proofs_and_backups_grow_old(alone: Path) -> None:
    settings = load_settings()
    placed()
    for check in (catalog_health.replicas_proven, catalog_health.backup_fresh):
        assert [one.ok for one in check(settings)] == [True]
    old(settings, 9)
    (proofs,), (backups,) = catalog_health.replicas_proven(settings), catalog_health.backup_fresh(settings)
    assert (proofs.ok, "no replica on 'default' was proven for 9 days" in proofs.sentence) == (False, True)
    assert (backups.ok, "there is no backup" in backups.sentence, "`imagewright backup" in backups.sentence) == (
        False,
        True,
        True,
    )
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.record("imagewright.catalog.backed_up", "backup:catalog")
    assert [one.ok for one in catalog_health.backup_fresh(settings)] == [True]


def test_a_clock_that_is_off(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "catalog.repository.catalog.Catalog.now", lambda catalog: catalog._now_of_store() - timedelta(minutes=10)
    )
    (found,) = catalog_health.clock_agrees(load_settings())
    assert (found.ok, "600" in found.sentence, "NTP" in found.sentence) == (False, True, True)


def test_programs_that_are_missing_and_libraries_of_another_version(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (found,) = host.programs_there(load_settings())
    assert (found.ok, "qemu-img (Debian package qemu-utils)" in found.sentence) == (False, True)
    monkeypatch.setattr(
        host, "requires", lambda _: ["sqlalchemy<1", "nothing-of-this-name", "hypothesis>=99; extra == 'test'"]
    )
    (found,) = host.libraries_in_range()
    assert (
        found.ok,
        "sqlalchemy is 2" in found.sentence,
        "nothing-of-this-name is not installed" in found.sentence,
    ) == (False, True, True)
    assert "hypothesis" not in found.sentence


def test_an_examination_that_hangs_or_breaks_hides_no_other() -> None:
    def hangs() -> list[Finding]:
        time.sleep(30)
        return []

    def breaks() -> list[Finding]:
        raise KeyError("x")

    begun = time.monotonic()
    found = examined(
        {"a": hangs, "b": breaks, "c": lambda: [Finding(check="c", ok=True, sentence="well")]}, limit_s=0.5
    )
    assert time.monotonic() - begun < 5
    assert [(one.check, one.ok) for one in found] == [("a", False), ("b", False), ("c", True)]
    assert ("did not end within 0.5 s" in found[0].sentence, "KeyError" in found[1].sentence) == (True, True)

"""Catalog quality: the suite on the database itself, and stored images judged again by the present rules."""

import sqlite3
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from catalog.records import ImageStatus, Plan, QualityReport
from flows.requests import CheckQuality
from tests.flows.moving import World, artifact, in_one_run, noise

pytestmark = pytest.mark.prefect
LINKED = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"
RW 8 FLAT "/etc/passwd" 0
""".ljust(4096, b"\n")


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    made.store("a")
    return made


def check(**fields: object) -> QualityReport | Plan:
    from flows.upkeep.check_quality import check_quality

    return check_quality.fn(CheckQuality.model_validate(fields))


def test_a_plan_names_what_would_be_judged(world: World) -> None:
    image = world.add(world.open_store("a"), noise(4096))

    def work() -> None:
        plan = check(rescan=True, plan_only=True)
        assert isinstance(plan, Plan)
        assert [action.subject for action in plan.actions] == ["catalog", f"image:{image.id}"]
        with pytest.raises(InvalidRequest, match="admin"):
            check(account="bob")

    in_one_run(work)


def test_the_catalog_is_checked_and_what_no_longer_passes_is_disabled(world: World) -> None:
    good = world.add(world.open_store("a"), noise(1 << 16), name="good")
    linked = world.add(world.open_store("a"), LINKED, name="of others")  # as an older rule set let it in
    lost = world.add(world.open_store("a"), noise(8192, 1), name="lost")
    (world.folder / "a" / "manifests" / lost.id).unlink()
    reports: list[QualityReport] = []

    def work() -> None:
        for rescan in (False, True, True):
            report = check(rescan=rescan)
            assert isinstance(report, QualityReport)
            reports.append(report)

    in_one_run(work)
    assert reports[0].success, reports[0].failed
    assert Path((reports[0].docs_url or "").removeprefix("file://")).is_file()
    assert "data-docs/index.html" in artifact("data-docs")
    assert "| FAIL | 'of others' is quarantined" in artifact("catalog-quality")
    assert not reports[1].success
    failed = " ".join(reports[1].failed)
    assert "'of others' is quarantined" in failed
    assert f"{lost.id} could not be judged" in failed
    assert [c.sentence for c in reports[1].checks if c.name == "rescan"] == [
        "1 of 3 stored images pass the present rules"
    ]
    assert world.image(good.id) == good
    disabled = world.image(linked.id)
    assert (disabled.state, disabled.status) == ("Disabled", ImageStatus.READY)
    assert (disabled.error or "").startswith("quarantined: the image is refused")
    assert world.image(lost.id).state == "Enabled"  # not read is not unsafe
    with world.catalog() as catalog:
        kinds = [event.kind for event in catalog.events(linked.id)]
    assert kinds.count("imagewright.image.quarantined") == 1


def test_a_row_that_holds_no_record_is_found(world: World, home: Path) -> None:
    bad = world.add(world.open_store("a"), noise(4096), name="bad")
    world.add(world.open_store("a"), noise(8192, 1), name="good")
    with sqlite3.connect(home / "catalog.db") as database:
        database.execute("UPDATE replicas SET status = 'Lost' WHERE image_id = ?", (bad.id,))

    def work() -> None:
        report = check()
        assert isinstance(report, QualityReport)
        assert not report.success
        (failed,) = (c for c in report.checks if c.name.startswith("readable"))
        assert f"replica:{bad.id}@a can't be read: its status is 'Lost'" in failed.sentence

    in_one_run(work)

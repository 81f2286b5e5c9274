"""A recall finds what was made of an image where nobody said so: by its chips, of the image that it shares most with."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import Image
from storage.replicas.kinship import sketch
from tasks.promotion.recall import plan_recall, recall
from tests.catalog.rules.promotion.builds import NOW
from tests.flows.managed import MIB, opened, placed, register, stored_image

pytestmark = pytest.mark.usefixtures("home")


def image(
    name: str, hours: int, data: bytes, *, family: str | None = None, parent: str | None = None, on: str = "default"
) -> Image:
    at = NOW + timedelta(hours=hours)
    return placed(data, (on,), name=name, created_at=at, family=family, parent=parent)


def test_chips_show_who_was_made_of_whom_and_a_recall_reaches_them(home: Path, tmp_path: Path) -> None:
    base, next_base, own, other = (os.urandom(4 * MIB) for _ in range(4))
    root = image("debian-1", 0, base, family="debian")
    newer = image("debian-2", 1, base[: 3 * MIB] + next_base[: 2 * MIB], family="debian")
    child = image("web", 2, base + own[: 2 * MIB])
    grandchild = image("web-tuned", 3, base + own[: 2 * MIB] + other[: 1 * MIB])
    of_newer = image("db", 4, base[: 3 * MIB] + next_base[: 2 * MIB] + other[: 2 * MIB])
    declared = image("desk", 5, os.urandom(MIB), parent=child.id)
    stranger = image("bsd", 6, os.urandom(4 * MIB))
    plan = plan_recall.fn(root.id, "admin", descendants=False)
    named = {action.subject.removeprefix("image:"): action.reason for action in plan.actions if action.verb == "name"}
    assert set(named) == {child.id, grandchild.id, declared.id}
    assert named[child.id].startswith("found, not declared: ")
    assert named[child.id].endswith(f"of it are chips of {root.id}")
    assert named[grandchild.id].endswith(f"of it are chips of {child.id}")
    assert named[declared.id] == f"made of {child.id}"
    report = recall.fn(root.id, "a hole", "admin", descendants=True)
    assert {one.image_id for one in report.images if one.outcome == "recalled"} == {root.id, *named}
    assert report.unread == ()
    assert str(stored_image(grandchild.id).recalled).startswith("a hole (found, not declared: ")
    assert all(stored_image(one.id).recalled is None for one in (newer, of_newer, stranger))


def test_what_can_not_be_looked_at_is_said(home: Path, tmp_path: Path) -> None:
    register("other", tmp_path / "other")
    data = os.urandom(MIB)
    root = image("a", 0, data)
    image("b", 1, data + os.urandom(MIB), on="other")
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image_storage(catalog.image_storage("other").model_copy(update={"state": "Disabled"}))
    plan = plan_recall.fn(root.id, "admin", descendants=False)
    assert [action.verb for action in plan.actions] == ["recall"]
    assert "not looked at: " in plan.summary
    report = recall.fn(root.id, "a hole", "admin", descendants=True)
    assert len(report.unread) == 1
    assert "disabled" in report.unread[0]


def test_a_sampled_sketch_says_what_a_whole_one_does(home: Path) -> None:
    data = os.urandom(8 * MIB)
    a, b = image("a", 0, data), image("b", 1, data[: 6 * MIB] + os.urandom(2 * MIB))
    whole = [sketch(opened(), one.id) for one in (a, b)]
    assert whole[0] is not None
    assert whole[1] is not None
    share = whole[1].share_of(whole[0])
    assert 0.5 < share < 0.85
    assert whole[0].share_of(whole[0]) == 1.0
    assert whole[1].share_of(whole[0].some()) == whole[1].some().share_of(whole[0])

"""Promotion, rollback and recall: whole or not at all, with reason and evidence."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import FamilyNotFound, IllegalTransition, InvalidRequest, PromotionRefused
from catalog.log import events
from catalog.records import Image, Plan, Volume
from tasks.images.enable import set_state
from tasks.promotion.family import delete_family, plan_deletion, plan_family, set_family
from tasks.promotion.promote import BOOT, plan_promotion, promote, still_to_see
from tasks.promotion.recall import plan_recall, recall
from tasks.promotion.rollback import plan_rollback, roll_back
from tests.catalog.rules.promotion.builds import NOW, a_build, booted
from tests.flows.managed import saved, stored_image

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def family(home: Path) -> None:
    set_family.fn({"name": "debian"}, "admin")


def build(version: str, **fields: object) -> Image:
    return saved(a_build(version, **fields))


def latest() -> str:
    with open_catalog() as catalog:
        return catalog.latest("debian").id


def kinds(subject: str = "promotion:") -> list[str]:
    with open_catalog() as catalog:
        return [e.kind.rpartition(".")[2] for e in catalog.events() if e.subject.startswith(subject)]


def test_a_promotion_keeps_reason_and_evidence() -> None:
    image = build("1.0")
    made = promote.fn(image.id, "debian", "first of all", "admin")
    assert (made.kind, made.image_id, made.previous, made.reason, made.by) == (
        "promoted",
        image.id,
        None,
        "first of all",
        "admin",
    )
    assert [one.gate for one in made.evidence] == ["digest", "format", "quality", "hygiene"]
    assert latest() == image.id
    assert promote.fn(image.id, "debian", "again", "admin") == made
    assert kinds() == ["promoted"]


def test_an_image_of_no_family_joins_the_one_that_promotes_it() -> None:
    image = build("1.0", family=None)
    promote.fn(image.id, "debian", "", "admin")
    assert stored_image(image.id).family == "debian"
    with pytest.raises(InvalidRequest, match="this is of 'fedora'"):
        promote.fn(build("1", family="fedora").id, "debian", "", "admin")


def test_what_does_not_pass_the_gates_moves_nothing() -> None:
    first, second = build("1.0"), build("1.1", quality=None)
    promote.fn(first.id, "debian", "", "admin")
    with pytest.raises(PromotionRefused, match="quality: no suite was run over it") as refused:
        promote.fn(second.id, "debian", "", "admin")
    assert set(refused.value.failed) == {"quality"}
    assert latest() == first.id
    plan = plan_promotion.fn(second.id, "debian", "admin")
    assert [(a.verb, a.subject) for a in plan.actions if a.verb != "pass"] == [("refuse", "gate:quality")]


def test_a_family_that_asks_for_a_boot_believes_only_one_of_the_image_as_declared() -> None:
    set_family.fn({"name": "debian", "boot_check": "boots"}, "admin")
    image = build("1.0", image_type="System", bios_mode="Legacy")
    assert BOOT in still_to_see.fn(image.id, "debian", "admin")[1]
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.record(events.IMAGE_BOOT_CHECKED, f"image:{image.id}", after=booted(image))
    assert BOOT not in still_to_see.fn(image.id, "debian", "admin")[1]
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(image.model_copy(update={"bios_mode": "UEFI"}))
    assert BOOT in still_to_see.fn(image.id, "debian", "admin")[1]
    with pytest.raises(PromotionRefused, match="boot: it was not booted yet"):
        promote.fn(image.id, "debian", "", "admin")


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"status": "Deleted"}, "Deleted"), ({"state": "Disabled"}, "Disabled"), ({"deprecated": True}, "deprecated")],
)
def test_what_can_not_be_used_is_not_promoted(fields: dict[str, object], said: str) -> None:
    with pytest.raises(IllegalTransition, match=f"is {said}"):
        promote.fn(build("1.0", **fields).id, "debian", "", "admin")


def test_only_an_administrator_moves_a_family() -> None:
    image = build("1.0", owner="bob")
    for asked in (
        lambda: promote.fn(image.id, "debian", "", "bob"),
        lambda: plan_promotion.fn(image.id, "debian", "bob"),
        lambda: roll_back.fn("debian", "x86_64", None, "", "bob"),
        lambda: recall.fn(image.id, "x", "bob", descendants=False),
        lambda: set_family.fn({"name": "x"}, "bob"),
        lambda: delete_family.fn("debian", "bob"),
    ):
        with pytest.raises(InvalidRequest, match="only it may"):
            asked()
    with pytest.raises(FamilyNotFound):
        promote.fn(image.id, "debain", "", "admin")


def test_a_rollback_goes_to_the_one_before_that_can_be_used_and_not_forth_again() -> None:
    a, b, c = build("1"), build("2"), build("3")
    for image in (a, b, c):
        promote.fn(image.id, "debian", "", "admin")
    set_state.fn([b.id], "admin", "Disabled")
    plan = plan_rollback.fn("debian", "x86_64", None, "admin")
    assert [action.subject for action in plan.actions] == [f"image:{a.id}"]
    back = roll_back.fn("debian", "x86_64", None, "c does not start", "admin")
    assert (back.kind, back.image_id, back.previous, back.reason) == ("rolled back", a.id, c.id, "c does not start")
    assert latest() == a.id
    with pytest.raises(InvalidRequest, match="nothing that was promoted before can be used any more"):
        roll_back.fn("debian", "x86_64", None, "", "admin")
    with pytest.raises(InvalidRequest, match=r"^to: "):
        roll_back.fn("debian", "x86_64", c.id, "", "admin")
    with pytest.raises(InvalidRequest, match="one that promoted something for aarch64"):
        roll_back.fn("debian", "aarch64", None, "", "admin")


def test_a_recall_moves_families_back_and_names_who_uses_it() -> None:
    a, b = build("1"), build("2")
    child = build("2-web", parent=b.id, family="web")
    set_family.fn({"name": "web"}, "admin")
    for image, family in ((a, "debian"), (b, "debian"), (child, "web")):
        promote.fn(image.id, family, "", "admin")
    volume = Volume(
        id="v", name="disk", image_id=b.id, primary_storage="default", location="x", backing="y", size_bytes=1,
        owner="bob", created_at=NOW,
    )  # fmt: skip
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_volume(volume)
    plan = plan_recall.fn(b.id, "admin", descendants=False)
    assert [action.verb for action in plan.actions] == ["recall", "roll back", "name"]
    report = recall.fn(b.id, "a hole", "admin", descendants=False)
    assert [(i.image_id, i.outcome) for i in report.images] == [(b.id, "recalled"), (child.id, "named")]
    assert report.images[0].used_by == ("volume disk of bob on default",)
    assert [(p.family, p.image_id) for p in report.rolled_back] == [("debian", a.id)]
    assert latest() == a.id
    stored = stored_image(b.id)
    assert (stored.state, stored.recalled) == ("Disabled", "a hole")
    again = recall.fn(b.id, "a hole", "admin", descendants=True)
    assert [i.outcome for i in again.images] == ["already recalled", "recalled"]
    assert [(p.family, p.image_id) for p in again.rolled_back] == [("web", None)]  # it has none before
    set_state.fn([b.id], "admin", "Enabled")
    assert stored_image(b.id).recalled is None


def test_a_family_is_checked_and_setting_it_again_changes_nothing() -> None:
    asked: dict[str, object] = {"name": "web", "labels": ("team=web",), "keep_last": 3, "image_storages": ("default",)}
    made = set_family.fn(asked, "admin")
    assert set_family.fn(asked, "admin") == made
    assert plan_family.fn(asked, "admin").actions == ()
    (action,) = plan_family.fn({**asked, "keep_last": 4}, "admin").actions
    assert action.reason == "keep_last 3 → 4"
    for wrong, said in (
        ({"name": "a/b"}, "^name: "),
        ({"name": "a", "labels": ("web",)}, "^labels: "),
        ({"name": "a", "labels": ("a=1", "a=2")}, "a is given twice"),
        ({"name": "a", "keep_days": float("nan")}, "^keep_days: "),
    ):
        with pytest.raises(InvalidRequest, match=said):
            set_family.fn(wrong, "admin")


def test_deleting_a_family_says_what_is_forgotten() -> None:
    promote.fn(build("1").id, "debian", "", "admin")
    plan = plan_deletion.fn("debian", "admin")
    assert isinstance(plan, Plan)
    assert "its latest for x86_64 is forgotten" in plan.summary
    assert delete_family.fn("debian", "admin").name == "debian"
    with pytest.raises(FamilyNotFound):
        plan_deletion.fn("debian", "admin")

"""The life cycle in the catalog: deprecated, deleted, and families that go back by themselves."""

from datetime import timedelta

import pytest

from catalog import open_catalog
from catalog.records import Image
from catalog.units import utc_now
from tasks.promotion.family import set_family
from tasks.promotion.life_cycle import apply_life_cycle, choose_families, plan_life_cycle
from tasks.promotion.promote import promote
from tasks.promotion.rollback import leave_unusable
from tests.catalog.rules.promotion.builds import a_build
from tests.flows.managed import saved, stored_image

pytestmark = pytest.mark.usefixtures("home")


def aged(version: str, days: float, **fields: object) -> Image:
    return saved(a_build(version, created_at=utc_now() - timedelta(days=days), **fields))


def test_what_goes_is_in_the_bin_and_the_plan_said_so() -> None:
    set_family.fn({"name": "debian", "keep_last": 2, "deprecate_after_days": 5}, "admin")
    a, b, c, d = (aged(f"1.{number}", 10 - number) for number in range(4))
    child = aged("1.0-web", 1, family="web", parent=b.id)
    for image in (c, d):
        promote.fn(image.id, "debian", "", "admin")
    verbs = {action.subject: action.verb for action in plan_life_cycle.fn("debian")}
    assert verbs == {
        f"image:{d.id}": "keep",
        f"image:{c.id}": "keep",
        f"image:{b.id}": "deprecate",
        f"image:{a.id}": "delete",
    }
    items = {item.image_id: (item.outcome, item.reason) for item in apply_life_cycle.fn("debian")}
    assert items[a.id][0] == "deleted"
    assert items[d.id] == ("kept", "it is the latest")
    assert f"image {child.name}" in items[b.id][1]
    assert stored_image(a.id).status == "Deleted"
    assert [stored_image(one.id).deprecated for one in (b, c, d)] == [True, False, False]
    again = {item.image_id: item.outcome for item in apply_life_cycle.fn("debian")}
    assert again == {b.id: "kept", c.id: "kept", d.id: "kept"}
    assert choose_families.fn((), "admin") == ("debian",)


@pytest.mark.parametrize("fields", [{"status": "Error"}, {"state": "Disabled"}, {"status": "Deleted"}])
def test_a_family_goes_back_by_itself_and_says_why(fields: dict[str, object]) -> None:
    set_family.fn({"name": "debian"}, "admin")
    a, b = aged("1.0", 2), aged("1.1", 1)
    for image in (a, b):
        promote.fn(image.id, "debian", "", "admin")
    assert leave_unusable.fn() == ()
    with open_catalog() as catalog, catalog.changing("system") as change:
        known = change.image(b.id)
        change.save_image(Image.model_validate({**known.model_dump(), **fields}))
    (back,) = leave_unusable.fn()
    assert (back.kind, back.previous, back.image_id) == ("rolled back", b.id, a.id)
    assert f"{b.id} can't be used any more: {next(iter(fields.values()))}" in back.reason
    assert leave_unusable.fn() == ()
    with open_catalog() as catalog:
        assert catalog.latest("debian").id == a.id

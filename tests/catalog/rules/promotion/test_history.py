"""What the promotions of a family come to."""

import pytest

from catalog.records import Image, Promotion, PromotionKind
from catalog.rules.promotion.history import channel_of, goes_back_to, standing, why_not
from tests.catalog.rules.promotion.builds import NOW, a_build


def _move(number: int, kind: PromotionKind, image_id: str | None) -> Promotion:
    return Promotion(
        family="f", cpu_architecture="x86_64", number=number, kind=kind, image_id=image_id, reason="", by="admin",
        created_at=NOW,
    )  # fmt: skip


def moves(*steps: str) -> list[Promotion]:
    """Return promotions: `a` promotes a, `<a` goes back to a, `<` to nothing."""
    made = []
    for number, step in enumerate(steps, start=1):
        back, image_id = step.startswith("<"), step.removeprefix("<") or None
        made.append(_move(number, "rolled back" if back else "promoted", image_id))
    return made


@pytest.mark.parametrize(
    ("steps", "stands"),
    [
        ((), []),
        (("a", "b", "c"), ["a", "b", "c"]),
        (("a", "b", "<a"), ["a"]),
        (("a", "b", "<a", "c"), ["a", "c"]),
        (("a", "b", "c", "<a"), ["a"]),
        (("a", "b", "<a", "b"), ["a", "b"]),
        (("a", "b", "a"), ["b", "a"]),
        (("a", "<"), []),
        (("a", "<", "b"), ["b"]),
    ],
)
def test_what_was_gone_back_from_stands_no_more(steps: tuple[str, ...], stands: list[str]) -> None:
    assert list(standing(moves(*steps))) == stands


def test_it_goes_back_to_the_newest_that_can_be_used() -> None:
    assert goes_back_to("abc", lambda one: one != "b", "c") == "a"
    assert goes_back_to("abc", lambda _: True, "c") == "b"
    assert goes_back_to("abc", lambda _: False) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"status": "Migrating"}, ""),
        ({"status": "Deleted"}, "Deleted"),
        ({"status": "Error"}, "Error"),
        ({"state": "Disabled"}, "Disabled"),
        ({"deprecated": True}, "deprecated"),
        ({"recalled": "a hole", "state": "Disabled"}, "recalled: a hole"),
    ],
)
def test_what_can_not_be_the_latest_says_why(fields: dict[str, object], reason: str) -> None:
    assert why_not(Image.model_validate({**a_build().model_dump(), **fields})) == reason


def test_a_volume_image_is_promoted_for_any_architecture() -> None:
    assert channel_of(a_build(cpu_architecture=None)) == "any"

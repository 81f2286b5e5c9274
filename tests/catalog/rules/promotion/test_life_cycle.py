"""Which builds stay and which go: one row of the table each, and why."""

from datetime import timedelta

import pytest

from catalog.records import Image
from catalog.rules.promotion.life_cycle import Known, decided
from tests.catalog.rules.promotion.builds import NOW, a_build, a_family


def aged(version: str, days: float = 100, **fields: object) -> Image:
    return a_build(version, created_at=NOW - timedelta(days=days), **fields)


A, B, C, D = (aged(version) for version in ("1.8", "1.9", "1.10", "1.11"))


def fates(images: tuple[Image, ...], known: Known | None = None, **rules: object) -> dict[str, str]:
    made = decided(a_family(**rules), images, known or Known(NOW))
    assert all(decision.reason for decision in made)
    return {str(decision.image.build_version): decision.fate for decision in made}


def test_the_last_ones_stay_by_the_publishers_order() -> None:
    assert fates((B, D, A, C), keep_last=2) == {"1.11": "kept", "1.10": "kept", "1.9": "goes", "1.8": "goes"}


def test_a_family_that_says_nothing_keeps_all() -> None:
    assert set(fates((A, B, C, D)).values()) == {"kept"}


def test_each_architecture_is_counted_by_itself() -> None:
    arm = aged("1.1", cpu_architecture="aarch64")
    assert fates((arm, C, D), keep_last=1) == {"1.1": "kept", "1.11": "kept", "1.10": "goes"}


def test_days_alone_keep_what_is_young() -> None:
    assert fates((A, aged("2.0", days=6.9)), keep_days=7) == {"2.0": "kept", "1.8": "goes"}
    assert fates((aged("2.0", days=7),), keep_days=7) == {"2.0": "goes"}
    assert fates((aged("2.0", days=0),), keep_days=0) == {"2.0": "goes"}


def test_with_both_what_either_keeps_stays() -> None:
    assert fates((A, aged("1.9", days=1), D), keep_last=1, keep_days=7) == {
        "1.11": "kept",
        "1.9": "kept",
        "1.8": "goes",
    }


@pytest.mark.parametrize(
    ("known", "fields", "reason"),
    [
        (Known(NOW, latest={A.id}), {}, "it is the latest"),
        (Known(NOW, before={A.id}), {}, "the latest would go back to it"),
        (Known(NOW, waiting={A.id}), {}, "it may yet be the latest"),
        (Known(NOW, users={A.id: ["volume x of bob"]}), {}, "it is used: volume x of bob"),
        (Known(NOW), {"protected": True}, "it is protected"),
        (Known(NOW), {"status": "Downloading"}, "it is arriving"),
    ],
)
def test_what_is_needed_never_goes(known: Known, fields: dict[str, object], reason: str) -> None:
    old = Image.model_validate({**A.model_dump(), **fields})
    (_, decision) = decided(a_family(keep_last=1, keep_days=1), (old, D), known)
    assert (decision.fate, decision.reason) == ("kept", reason)


def test_what_is_used_may_go_where_the_family_says_so() -> None:
    known = Known(NOW, users={A.id: ["volume x"]})
    assert fates((A, D), known, keep_last=1, keep_used=False)["1.8"] == "goes"


@pytest.mark.parametrize("fields", [{"status": "Error"}, {"state": "Disabled"}, {"recalled": "a hole"}])
def test_what_is_bad_takes_no_place_and_goes_by_its_age(fields: dict[str, object]) -> None:
    bad = aged("1.12", 100, **fields)
    assert fates((bad, C, D), keep_last=2) == {"1.12": "kept", "1.11": "kept", "1.10": "kept"}
    assert fates((bad, D), keep_last=1, keep_days=30) == {"1.12": "goes", "1.11": "kept"}


def test_old_ones_are_deprecated_but_not_the_latest() -> None:
    known = Known(NOW, latest={D.id})
    young = aged("1.12", days=1)
    assert fates((A, D, young), known, deprecate_after_days=30) == {"1.12": "kept", "1.11": "kept", "1.8": "deprecated"}
    assert fates((aged("1", deprecated=True),), deprecate_after_days=30) == {"1": "kept"}

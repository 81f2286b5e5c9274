"""Whose turn it is to be proven."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.replicas.verify import Due, oldest_first

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


def due(image_id: str, verified_at: datetime | None) -> Due:
    return Due(image_id=image_id, image_storage="images", size_bytes=1, verified_at=verified_at)


@pytest.mark.parametrize(
    ("future", "turns"),
    [(NOW + YEAR, ["c", "d", "a", "b"]), (NOW, ["d", "a", "b", "c"])],
    ids=["the clock was put back since", "just proven"],
)
def test_the_oldest_proof_comes_first_and_one_of_a_time_to_come_counts_as_none(
    future: datetime, turns: list[str]
) -> None:
    ages = (due("a", NOW - YEAR), due("b", NOW - timedelta(days=1)), due("c", future), due("d", None))
    assert [one.image_id for one in oldest_first(ages, NOW)] == turns

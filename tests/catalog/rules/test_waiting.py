"""How long a run waits for what is away: growing, bounded, and ending with the patience."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.rules.upkeep.waiting import FIRST_S, LONGEST_CAP_S, SHORTEST_CAP_S, WORKED, Wait, next_wait_s
from tests.catalog.samples import START

DAY_S = 86_400.0


def waited(patience_s: float, tries_s: float = 1.0) -> list[float]:
    """Return the waits of a run whose every try fails after some seconds."""
    waits: list[Wait] = []
    now, pauses = START, list[float]()
    while (pause := next_wait_s(waits, now, patience_s, 1.0)) is not None:
        pauses.append(pause)
        until = now + timedelta(seconds=pause)
        waits.append(Wait(at=now, until=until))
        now = until + timedelta(seconds=tries_s)
    return pauses


def test_it_grows_to_minutes_in_a_day_and_to_an_hour_where_the_request_says_so() -> None:
    pauses = waited(DAY_S)
    assert pauses[:5] == [5, 10, 20, 40, 80]
    assert max(pauses) == DAY_S / 100
    assert sum(pauses) >= DAY_S * 0.95
    assert max(waited(7 * DAY_S)) == LONGEST_CAP_S


def test_nobody_waits_without_patience() -> None:
    assert next_wait_s((), START, 0, 1.0) is None


def test_a_run_that_worked_for_long_waits_anew() -> None:
    old = Wait(at=START, until=START + timedelta(seconds=100))
    again = old.until + WORKED + timedelta(seconds=1)
    assert next_wait_s([old], again, 60, 1.0) == FIRST_S
    assert next_wait_s([old], old.until + WORKED, 60, 1.0) is None


@settings(deadline=None)  # it is quadratic in the number of waits
@given(patience_s=st.floats(1, 30 * DAY_S), tries_s=st.floats(0.5, 500))
def test_waiting_ends_with_the_patience(patience_s: float, tries_s: float) -> None:
    pauses = waited(patience_s, tries_s)
    cap = min(max(patience_s / 100, SHORTEST_CAP_S), LONGEST_CAP_S)
    assert all(0 < pause <= cap for pause in pauses)
    assert sum(pauses) <= patience_s + cap


@pytest.mark.parametrize("jitter", [0.7, 1.3])
def test_jitter_scales_it(jitter: float) -> None:
    assert next_wait_s((), START, DAY_S, jitter) == FIRST_S * jitter

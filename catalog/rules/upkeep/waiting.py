"""How long a run waits for an unavailable storage or source before it retries, and when it gives up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from catalog.records import Record

FIRST_S = 5.0
SHORTEST_CAP_S, LONGEST_CAP_S = 60.0, 3600.0
WORKED = timedelta(minutes=10)
"""A run that proceeded for longer than this got what it waited for; a later failure starts a new wait."""


class Wait(Record):
    """A wait of a run, from one moment until another by the same clock."""

    at: datetime
    until: datetime


def next_wait_s(waits: Sequence[Wait], now: datetime, patience_s: float, jitter: float) -> float | None:
    """Return the seconds until the next try, None if the patience is over.

    waits: the run's so far, oldest first. patience_s: total wait, from the first failure in a row. The wait doubles
    from 5 s to a hundredth of the patience, which is minutes for a day and an hour for a week. jitter: a factor about
    1, so that many runs don't come back at once. The last try is made when the patience ends.
    """
    row = _in_a_row(waits, now)
    left_s = patience_s - ((now - row[0].at).total_seconds() if row else 0.0)
    if left_s <= 0:
        return None
    longest = min(max(patience_s / 100, SHORTEST_CAP_S), LONGEST_CAP_S)
    return min(longest, FIRST_S * 2.0 ** min(len(row), 20)) * jitter if left_s > FIRST_S else left_s


def _in_a_row(waits: Sequence[Wait], now: datetime) -> list[Wait]:
    row: list[Wait] = []
    since = now
    for wait in reversed(waits):
        if since - wait.until > WORKED:
            break
        row.insert(0, wait)
        since = wait.at
    return row

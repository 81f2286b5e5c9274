"""The moment by the Prefect server's clock, which stamps runs and states: the one of this host may be minutes off."""

import time
from datetime import datetime, timedelta

import httpx

from catalog.units import date_said, utc_now


class ServerClock:
    """Goes on by the seconds that pass here from what the server said last; before it said anything, from our own clock."""

    def __init__(self) -> None:
        self._said, self._heard_at = utc_now(), time.monotonic()

    def hear(self, answer: httpx.Response) -> None:
        """Take up the time that an answer bears."""
        if (said := date_said(answer.headers.get("date"))) is not None:
            self._said, self._heard_at = said, time.monotonic()

    def now(self) -> datetime:
        """Return the moment, timezone-aware UTC."""
        return self._said + timedelta(seconds=time.monotonic() - self._heard_at)

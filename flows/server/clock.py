"""The time by the Prefect server's clock, which stamps runs and states: this host's clock may be minutes off."""

import time
from datetime import datetime, timedelta

import httpx

from catalog.units import date_said, utc_now


class ServerClock:
    """Counts on from the time that the server last sent, or from this host's clock before the first answer."""

    def __init__(self) -> None:
        self._said, self._heard_at = utc_now(), time.monotonic()

    def hear(self, answer: httpx.Response) -> None:
        """Take the time from an answer."""
        if (said := date_said(answer.headers.get("date"))) is not None:
            self._said, self._heard_at = said, time.monotonic()

    def now(self) -> datetime:
        """Return the present time, timezone-aware UTC."""
        return self._said + timedelta(seconds=time.monotonic() - self._heard_at)

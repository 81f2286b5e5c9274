"""The moment by the Prefect server's clock, which stamps runs and states: the one of this host may be minutes off."""

import time
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from catalog.units import utc_now


class ServerClock:
    """Goes on by the seconds that pass here from what the server said last; before it said anything, from our own clock."""

    def __init__(self) -> None:
        self._said, self._heard_at = utc_now(), time.monotonic()

    def hear(self, answer: httpx.Response) -> None:
        """Take up the time that an answer bears. It is cut to whole seconds, and rounded up here: a run that is due now is taken now."""
        if said := answer.headers.get("date"):
            self._said, self._heard_at = parsedate_to_datetime(said) + timedelta(seconds=1), time.monotonic()

    def now(self) -> datetime:
        """Return the moment, timezone-aware UTC."""
        return self._said + timedelta(seconds=time.monotonic() - self._heard_at)

"""Time as the Prefect server has it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from flows.server.clock import ServerClock


@pytest.mark.parametrize("ahead_s", [-600, 0, 600])
def test_it_goes_on_from_what_the_server_said_whatever_our_clock_shows(
    monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    said = datetime(2026, 3, 1, 12, tzinfo=UTC)
    monkeypatch.setattr("flows.server.clock.utc_now", lambda: said + timedelta(seconds=ahead_s))
    passed = iter((100.0, 200.0, 207.5))
    monkeypatch.setattr("flows.server.clock.time.monotonic", lambda: next(passed))
    heard = ServerClock()
    heard.hear(httpx.Response(200, headers={"Date": "Sun, 01 Mar 2026 12:00:00 GMT"}))
    assert heard.now() == said + timedelta(seconds=1 + 7.5)


def test_before_it_heard_anything_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = ServerClock()
    heard.hear(httpx.Response(200))
    assert abs(heard.now() - datetime.now(UTC)) < timedelta(seconds=5)

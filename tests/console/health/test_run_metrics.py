"""Runs as a real Prefect server tells of them."""

import time
import uuid
from pathlib import Path

import pytest

import flows
from catalog.errors import ImageNotFound
from console.health import run_metrics
from flows import requests
from tests.console.health.test_metrics import client_of, samples, value

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("home")]


def test_runs_that_ended_since_are_counted_once_with_their_errors(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_metrics, "FRESH_S", 0.0)
    monkeypatch.setattr("console.health.remembered.REST", 0)
    flows.retry_deferred(requests.RetryDeferred())  # before anybody watched
    client = client_of()
    before = samples(client)
    assert value(before, "imagewright_prefect_up") == 1
    assert value(before, "imagewright_run_seconds_count", flow="retry-deferred", state="completed") is None
    flows.retry_deferred(requests.RetryDeferred())
    with pytest.raises(ImageNotFound):
        flows.export_image(requests.ExportImage(image_id=str(uuid.uuid4())))
    deadline = time.monotonic() + 20
    while (
        value(found := samples(client), "imagewright_run_failures_total", flow="export-image", error="ImageNotFound")
        is None
    ):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    found = samples(client)
    assert value(found, "imagewright_run_failures_total", flow="export-image", error="ImageNotFound") == 1
    assert value(found, "imagewright_run_seconds_count", flow="export-image", state="failed") == 1
    assert value(found, "imagewright_run_seconds_count", flow="retry-deferred", state="completed") == 1
    age = value(found, "imagewright_schedule_last_completed_age_seconds", flow="retry-deferred")
    assert age is not None
    assert age < 60
    assert value(found, "imagewright_queue_length") is not None
    assert value(found, "imagewright_runs", state="running") is not None
    again = samples(client)
    assert value(again, "imagewright_run_seconds_count", flow="export-image", state="failed") == 1

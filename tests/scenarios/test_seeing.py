"""A served home as machines watch it: doctor finds nothing, health answers, a scrape is quick, logs of runs are JSON."""

import json
import resource
import time
from pathlib import Path

import httpx
import pytest

from tests.services.serving import Serving, serving

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]


def test_all_is_well_and_said_quickly(served: Serving) -> None:
    deadline = time.monotonic() + 90  # the worker's first sign, and the first recovery
    while (done := served.command("doctor", "--json")).returncode:
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(2)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert {"prefect server", "deployments", "schedules", "workers", "recovery"} <= set(found)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    served.command("doctor")
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert took < 6  # importing Prefect and asking by it would take longer than that, on a machine that others use, too
    with httpx.Client(base_url=served.console, timeout=30) as nobody:
        assert nobody.get("/healthz").json() == {"alive": True}
        answer = nobody.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (200, True), answer.text
        text = nobody.get("/metrics").text
        assert "imagewright_prefect_up 1.0" in text
        assert "imagewright_catalog_up 1.0" in text
        assert nobody.get("/").status_code == 401


@pytest.mark.long
def test_logs_of_serve_console_and_runs_are_lines_of_json(tmp_path: Path) -> None:
    settings = {"IMAGEWRIGHT_LOG_FORMAT": "json", "IMAGEWRIGHT_FILE_ROOTS": str(tmp_path)}
    with serving(tmp_path, **settings) as served:
        started = served.ask("deployments/name/export-image/export-image")
        assert isinstance(started, dict)
        image_id = "00000000-0000-4000-8000-000000000000"
        run = served.ask(
            f"deployments/{started['id']}/create_flow_run", {"parameters": {"request": {"image_id": image_id}}}
        )
        assert isinstance(run, dict)
        deadline, lines = time.monotonic() + 120, list[dict[str, object]]()
        while not any(line.get("image_id") == image_id for line in lines):
            assert time.monotonic() < deadline, lines
            time.sleep(1)
            text = (served.home / "logs" / "worker.log").read_text()
            lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (first, *_) = [line for line in lines if line.get("image_id") == image_id]
    assert first["run_id"] == run["id"]
    for name in ("server", "console"):
        text = (tmp_path / "home" / "logs" / f"{name}.log").read_text()
        assert all(json.loads(line) for line in text.splitlines()), text

"""What runs by itself, on a server whose scheduler is on: every schedule, and the recovery of a run that was killed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.records import ImageStatus
from deployments.definitions import definitions
from tests.faults.conftest import MIB, Machines, slow_source, started_machines
from tests.faults.test_death_of_machines import wait_until_kept

pytestmark = [pytest.mark.xdist_group("schedules"), pytest.mark.timeout(500)]
PROMISED_S = 300.0
"""A run that was killed with nobody at the keyboard is Ready again within five minutes."""
QUICK = {"cron": "* * * * * */20", "timezone": "UTC"}
QUICK_SILENCE_S = 15


@pytest.fixture
def scheduled(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machines]:
    assert request.config.cache is not None
    with started_machines(tmp_path, request.config.cache, scheduled=True) as machines:
        yield machines


def runs_by_schedule(machines: Machines, flow: str, *states: str) -> list[dict[str, object]]:
    """Return the runs of a flow that the scheduler made, in one of these states."""
    found = machines.server.ask(
        "flow_runs/filter",
        {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": list(states)}}}},
    )
    assert isinstance(found, list)
    return [run for run in found if run["auto_scheduled"]]


def hasten_recovery(machines: Machines) -> None:
    """Have recover-runs come every twenty seconds and believe a run dead after fifteen, so that a test need not wait minutes."""
    (name,) = (row.name for row in definitions() if row.name == "recover-runs")
    deployment = machines.server.record(f"deployments/name/{name}/{name}")
    quick = {"schedule": QUICK, "active": True, "parameters": {"request": {"stale_after_s": QUICK_SILENCE_S}}}
    machines.server.ask(f"deployments/{deployment['id']}/schedules", [quick])


def killed_and_ready_again(machines: Machines, tmp_path: Path) -> float:
    """Kill worker and run of an add, do nothing but start another worker; return the seconds until its image is Ready."""
    with slow_source(tmp_path, 48 * MIB, rate_mib_s=12) as source:
        with machines.machine(ours=True) as first:
            run = machines.server.start(
                "add-volume-image", {"name": "survivor", "image_format": "raw", "image_path": source.url}
            )
            wait_until_kept(machines, run, source.size // 3)
            first.kill()
            killed_at = time.monotonic()
        with machines.machine(ours=True):
            machines.server.wait_for(run, "COMPLETED", within_s=PROMISED_S, passing=("CRASHED",))
        took = time.monotonic() - killed_at
    image = machines.image(run)
    assert (image.status, image.md5) == (ImageStatus.READY, source.md5())
    return took


def test_a_killed_run_is_finished_by_the_scheduled_recovery_and_nobody_calls_it(
    scheduled: Machines, tmp_path: Path
) -> None:
    hasten_recovery(scheduled)
    killed_and_ready_again(scheduled, tmp_path)
    assert runs_by_schedule(scheduled, "recover-runs", "COMPLETED", "RUNNING")
    due = {row.name for row in definitions() if row.schedules}
    assert due == {flow for flow in due if runs_by_schedule(scheduled, flow, "SCHEDULED")}


@pytest.mark.long
def test_with_the_schedules_as_deployed_a_killed_run_is_ready_again_within_five_minutes(
    scheduled: Machines, tmp_path: Path
) -> None:
    assert killed_and_ready_again(scheduled, tmp_path) < PROMISED_S

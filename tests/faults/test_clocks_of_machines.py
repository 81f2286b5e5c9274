"""Hosts whose clocks differ by minutes: no one's runs are taken for dead."""

import json
import subprocess
import warnings
from datetime import timedelta

import pytest

from tests.faults.conftest import Machines
from tests.services.prefect import COMMAND, WRONG_CLOCK
from tests.services.process import find

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]
REQUEST = {"name": "x", "image_format": "raw", "image_path": "http://127.0.0.1:9/x"}


def a_beating_run(machines: Machines, clock: timedelta = timedelta()) -> str:
    """Return a run that a host somewhere works on: Running, and heard a moment ago. clock: how far its host is ahead."""
    run = machines.server.start("add-volume-image", REQUEST)
    machines.server.set_state(run, "RUNNING", force=True)
    machines.server.beat(run, clock)
    return run


FAKED = "imagewright: Invalid argument: asked for by "
"""What a command said once of some eighty under faketime, and none of thousands without it: a wait that it answered with EINVAL."""


def recovered(machines: Machines, clock: str, silence_s: float) -> set[str]:
    """Run recover-runs on a host whose clock is off, e.g. +4m; return the runs that it did something about."""
    done = recover_runs(machines, clock, silence_s)
    if done.stderr.startswith(FAKED):
        warnings.warn(done.stderr, stacklevel=2)  # so that where it was is in the report of the tests
        done = recover_runs(machines, clock, silence_s)
    assert done.returncode == 0, done.stderr
    return {action["subject"].removeprefix("run:") for action in json.loads(done.stdout)["actions"]}


def recover_runs(machines: Machines, clock: str, silence_s: float) -> "subprocess.CompletedProcess[str]":
    faketime = find("faketime", "faketime")
    return subprocess.run(
        [faketime, "-f", clock, COMMAND, "recover-runs", "--stale-after-s", str(silence_s), "--plan-only", "--json"],
        env={**machines.server.environment, **WRONG_CLOCK},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def test_a_host_four_minutes_ahead_kills_no_run_of_another(machines: Machines) -> None:
    run = a_beating_run(machines)
    assert run not in recovered(machines, "+4m", 200)
    machines.server.set_state(run, "CANCELLED", force=True)


@pytest.mark.parametrize("minutes", [pytest.param(-4, marks=pytest.mark.long), 4])
def test_a_run_on_a_host_with_a_wrong_clock_is_judged_by_when_the_server_heard_it(
    machines: Machines, minutes: int
) -> None:
    run = a_beating_run(machines, timedelta(minutes=minutes))
    assert run not in recovered(machines, "+0", 200)
    assert run in recovered(machines, "-4m", 0), "silent at last, also for a host that is behind"
    machines.server.set_state(run, "CANCELLED", force=True)

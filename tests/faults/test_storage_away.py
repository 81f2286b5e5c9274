"""A storage that goes away while adds run into it: they wait, say for what, and are Ready when it is back; or somebody gives them up."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.errors import ImageNotFound
from catalog.records import ImageStatus, ImageStorage
from tests.faults.conftest import MIB, Machines, SlowSource, slow_source
from tests.faults.test_death_of_machines import wait_until_kept
from tests.services import s3

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(500)]
ADDS = 2
QUICK = {"IMAGEWRIGHT_RETRIES": "1"}
"""An add that finds a storage away tries this often before it waits, for 6 s each time, five times by default."""


@dataclass(frozen=True)
class Far:
    """A machine whose images lie in a storage in S3, `far`, and what takes that away."""

    machines: Machines
    away: s3.Away


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, machines: Machines) -> Iterator[Far]:
    with s3.stoppable(tmp_path_factory.mktemp("s3")) as (server, away):
        record = ImageStorage(
            name="far", kind="imagestore", url=f"s3://{s3.BUCKET}/x", endpoint=server.endpoint,
            credentials="env:IMAGEWRIGHT_TEST_S3", created_at=datetime.now(UTC),
        )  # fmt: skip
        with machines.catalog() as catalog, catalog.changing("admin") as change:
            change.save_image_storage(record)
        with machines.machine(ours=True, settings=QUICK):
            yield Far(machines, away)


def add(machines: Machines, source: SlowSource) -> str:
    """Start an add into the storage; return its run."""
    wanted = {"name": "patient", "image_format": "raw", "image_path": source.url, "image_storages": ["far"]}
    return machines.server.start("add-volume-image", wanted)


def wait_until_waiting(machines: Machines, run: str, within_s: float = 300) -> str:
    """Wait until a run waits, or has waited, for what is away; return what it said."""
    deadline = time.monotonic() + within_s
    while True:
        states = machines.server.ask(f"flow_run_states/?flow_run_id={run}")
        assert isinstance(states, list)
        assert not {state["type"] for state in states} & {"FAILED", "CRASHED", "COMPLETED"}, states
        for state in states:
            if state["name"] == "AwaitingRetry":
                return str(state["message"])
        assert time.monotonic() < deadline, states
        time.sleep(0.5)


def changed_while_waiting(machines: Machines, image_id: str) -> set[str]:
    """Return what changed of an image when it said for what it waits; raise AssertionError if it never did."""
    with machines.catalog() as catalog:
        told = [e.after for e in catalog.events(image_id) if e.kind == "imagewright.image.waiting" and e.after]
    assert told
    assert str(told[-1]["error"]).startswith("waiting for image storage ")
    return set(told[-1])


@pytest.mark.parametrize(
    "away_s",
    [0, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(2400)])],
    ids=["a while", "ten minutes"],
)
def test_adds_wait_for_a_storage_that_is_away_and_become_ready_when_it_is_back(
    far: Far, tmp_path: Path, away_s: float
) -> None:
    machines, away = far.machines, far.away
    with slow_source(tmp_path, 24 * MIB, rate_mib_s=3) as source:
        runs = [add(machines, source) for _ in range(ADDS)]
        for run in runs:
            machines.server.wait_for(run, "RUNNING")
        with away():
            until = time.monotonic() + away_s
            said = [wait_until_waiting(machines, run) for run in runs]
            assert all(one.startswith("waiting for image storage 's3://images/x': ") for one in said), said
            assert all("; tried again at " in one for one in said), said
            assert "status" not in changed_while_waiting(machines, runs[0]), "it is Downloading as before"
            time.sleep(max(0.0, until - time.monotonic()))
        for run in runs:
            machines.server.wait_for(run, "COMPLETED", within_s=180 + 1.5 * away_s)
        assert {(machines.image(run).status, machines.image(run).error) for run in runs} == {(ImageStatus.READY, None)}
        assert {machines.image(run).md5 for run in runs} == {source.md5()}


def test_an_add_that_waits_can_be_cancelled_and_leaves_no_image(far: Far, tmp_path: Path) -> None:
    machines, away = far.machines, far.away
    with slow_source(tmp_path, 24 * MIB, rate_mib_s=3) as source:
        run = add(machines, source)
        machines.server.wait_for(run, "RUNNING")
        with away():
            wait_until_waiting(machines, run)
            machines.server.set_state(run, "CANCELLING")
            machines.recover(stale_after_s=3600)  # or a worker, that had taken it up again just then
            deadline = time.monotonic() + 120
            while machines.server.run(run)["state_type"] != "CANCELLED":
                assert time.monotonic() < deadline
                time.sleep(0.5)
            machines.recover(stale_after_s=3600)
    with machines.catalog() as catalog, pytest.raises(ImageNotFound):
        catalog.image(run)


def test_deleting_an_image_cancels_the_run_that_brings_it_in(far: Far, tmp_path: Path) -> None:
    machines, before = far.machines, far.machines.stored()
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=2) as source:
        run = machines.server.start(
            "add-volume-image", {"name": "unwanted", "image_format": "raw", "image_path": source.url}
        )
        wait_until_kept(machines, run, 4 * MIB)
        deleted = machines.server.command("delete-image", "--image-ids", run, "--json")
        assert deleted.returncode == 0, deleted.stderr
        machines.server.wait_for(run, "CANCELLED")
        assert source.server.bytes_sent() < source.size
    assert [image["status"] for image in json.loads(deleted.stdout)] == ["Deleted"]
    assert machines.stored() <= before
    assert run not in {landing.landing_id for landing in machines.storage().landings()}
    with machines.catalog() as catalog:
        assert list(catalog.pending(image_id=run)) == []
        assert not [r for r in catalog.reservations() if run in r.subject]
        assert [event.kind for event in catalog.events(run)][-2:] == [
            "imagewright.image.cancelled",
            "imagewright.work.done",
        ]


@pytest.mark.long
def test_a_command_waits_in_place_as_long_as_it_was_told(far: Far, tmp_path: Path) -> None:
    machines, away = far.machines, far.away
    with slow_source(tmp_path, 2 * MIB, rate_mib_s=3) as source, away():
        asked = ("add-volume-image", "--name", "x", "--image-format", "raw", "--image-path", source.url,
                 "--image-storages", "far", "--patience-s")  # fmt: skip
        done = machines.server.command(*asked, "1")
    assert done.returncode == 1
    assert "image storage 's3://images/x' is unavailable" in done.stderr

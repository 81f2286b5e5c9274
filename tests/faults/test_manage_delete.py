"""Deleting an image that a worker's run is bringing in: the run ends as Cancelled, and nothing of the image is left."""

import json
from pathlib import Path

import pytest

from tests.faults.conftest import MIB, Machines, slow_source
from tests.faults.test_death_of_machines import wait_until_kept

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]


def test_deleting_an_image_cancels_the_run_that_brings_it_in(machines: Machines, tmp_path: Path) -> None:
    before = machines.stored()
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=2) as source, machines.machine():
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

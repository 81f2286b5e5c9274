"""A machine that dies in the middle of an add: another one finishes it, and the source is read once."""

import json
import time
from pathlib import Path

import pytest

from catalog.records import ImageStatus
from tests.faults.conftest import MIB, Machines, SlowSource, slow_source

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]


def wait_until_kept(machines: Machines, image_id: str, size: int, within_s: float = 90) -> int:
    """Wait until a landing keeps at least `size` bytes; return how many it does."""
    deadline = time.monotonic() + within_s
    while (kept := machines.kept(image_id)) < size:
        assert time.monotonic() < deadline, f"{kept} of {size} bytes after {within_s} s"
        time.sleep(0.1)
    return kept


def killed_and_finished(machines: Machines, source: SlowSource) -> list[str]:
    """Kill the machine that adds the source in the middle, have another one finish it; return what the run logged."""
    with machines.machine() as first:
        run = machines.server.start(
            "add-volume-image", {"name": "survivor", "image_format": "raw", "image_path": source.url}
        )
        wait_until_kept(machines, run, source.size // 3)
        first.kill()
    assert machines.server.run(run)["state_type"] == "RUNNING", "nobody has told the server"
    with machines.machine():
        report = json.loads(machines.recover())
        assert [(item["subject"], item["outcome"]) for item in report["items"]] == [(f"run:{run}", "done")]
        machines.server.wait_for(run, "COMPLETED")
    image = machines.image(run)
    assert (image.status, image.size_bytes, image.md5) == (ImageStatus.READY, source.size, source.md5())
    assert not list(machines.storage().landings())
    return machines.server.logs(run)


def test_another_machine_finishes_an_add_and_the_source_is_read_once(
    machines: Machines, tmp_path: Path
) -> None:
    with slow_source(tmp_path, 96 * MIB, rate_mib_s=16) as source:
        logged = killed_and_finished(machines, source)
        assert source.server.bytes_sent() <= source.size + 16 * MIB, (
            "what is not yet durable at a kill is < 8 MiB"
        )
    assert any(line.startswith("resuming at byte ") for line in logged)


@pytest.mark.long
def test_of_a_gibibyte_at_most_one_percent_is_read_again(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 1024 * MIB, rate_mib_s=48) as source:
        killed_and_finished(machines, source)
        assert source.server.bytes_sent() <= 1.01 * source.size


def test_cancelling_leaves_nothing_behind(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=2) as source, machines.machine():
        run = machines.server.start(
            "add-volume-image", {"name": "unwanted", "image_format": "raw", "image_path": source.url}
        )
        wait_until_kept(machines, run, 4 * MIB)
        machines.server.set_state(run, "CANCELLING")
        machines.server.wait_for(run, "CANCELLED")
    with machines.catalog() as catalog:
        assert run not in {image.id for image in catalog.images()}
        assert not list(catalog.reservations())
        assert catalog.lease(run).holder is None
        assert [event.kind for event in catalog.events(run)][-1] == "imagewright.image.cancelled"
    assert run not in {one.landing_id for one in machines.storage().landings()}
    assert not list((machines.home / "imagestore").glob(f"**/*{run}*"))

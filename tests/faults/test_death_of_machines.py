"""A machine that dies in the middle of an add: another one finishes it, and the source is read once."""

import json
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.records import ImageStatus
from catalog.rules.upkeep.recovery import interrupted_sentence
from flows.upkeep.recover_runs import BEAT_S
from tests.faults.conftest import MIB, Machines, SlowSource, slow_source
from tests.services.prefect import COMMAND, Worker

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(400)]


def wait_until_kept(machines: Machines, image_id: str, size: int, within_s: float = 180) -> int:
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
    shown = machines.server.progress(run)
    assert 20 < shown < 50, "a third, as of the last second"
    with machines.machine():
        report = json.loads(machines.recover())
        assert [(item["subject"], item["outcome"]) for item in report["items"]] == [(f"run:{run}", "done")]
        while shown < 100:
            before, shown = shown, machines.server.progress(run)
            assert before <= shown, "progress never goes back"
            time.sleep(0.2)
        machines.server.wait_for(run, "COMPLETED")
    image = machines.image(run)
    assert (image.status, image.size_bytes, image.md5) == (ImageStatus.READY, source.size, source.md5())
    assert not list(machines.storage().landings())
    return machines.server.logs(run)


def test_another_machine_finishes_an_add_and_the_source_is_read_once(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 96 * MIB, rate_mib_s=16) as source:
        logged = killed_and_finished(machines, source)
        assert source.server.bytes_sent() <= source.size + 16 * MIB, "what is not yet durable at a kill is < 8 MiB"
    assert any(line.startswith("resuming at byte ") for line in logged)


def test_a_killed_command_is_resumed_by_the_same_command_from_what_was_kept(machines: Machines, tmp_path: Path) -> None:
    image_id = str(uuid4())
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=12) as source:
        command = (
            "add-volume-image", "--name", "killed", "--image-format", "raw", "--image-path", source.url,
            "--image-id", image_id, "--json",
        )  # fmt: skip
        with subprocess.Popen([COMMAND, *command], env=machines.server.environment) as first:
            kept = wait_until_kept(machines, image_id, source.size // 3)
            first.kill()
        said = machines.recover(stale_after_s=0)
        stopped = machines.image(image_id)
        assert (stopped.status, f"image_id {image_id}" in str(stopped.error)) == (ImageStatus.ERROR, True), said
        second = machines.server.command(*command)
        assert second.returncode == 0, second.stderr
        image = json.loads(second.stdout)
        assert (image["status"], image["md5"], image["error"]) == ("Ready", source.md5(), None)
        assert source.server.bytes_sent() <= source.size + 16 * MIB
        assert source.server.resumed_at()[-1] >= kept


@pytest.mark.long
def test_an_add_outlives_a_restart_of_the_prefect_server(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=6) as source, machines.machine():
        run = machines.server.start(
            "add-volume-image", {"name": "patient", "image_format": "raw", "image_path": source.url}
        )
        wait_until_kept(machines, run, 8 * MIB)
        machines.server.restart(2)
        machines.server.wait_for(run, "COMPLETED")
        assert source.server.bytes_sent() <= source.size + MIB, "the transfer was not even interrupted"
    assert machines.image(run).md5 == source.md5()


def test_an_interrupted_command_says_how_its_image_is_resumed(machines: Machines, tmp_path: Path) -> None:
    image_id = str(uuid4())
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=2) as source:
        command = [
            str(COMMAND), "add-volume-image", "--name", "interrupted", "--image-format", "raw",
            "--image-path", source.url, "--image-id", image_id,
        ]  # fmt: skip
        with subprocess.Popen(command, env=machines.server.environment, stderr=subprocess.PIPE) as add:
            wait_until_kept(machines, image_id, 4 * MIB)
            add.send_signal(signal.SIGINT)
            _, said = add.communicate(timeout=60)
    assert (add.returncode, said.count(b"interrupted")) == (130, 1), said
    image = machines.image(image_id)
    assert (image.status, image.error) == (ImageStatus.ERROR, interrupted_sentence(image_id))


@pytest.mark.long
def test_of_a_gibibyte_at_most_one_percent_is_read_again(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 1024 * MIB, rate_mib_s=48) as source:
        killed_and_finished(machines, source)
        assert source.server.bytes_sent() <= 1.01 * source.size


def test_cancelling_leaves_nothing_behind(machines: Machines, tmp_path: Path) -> None:
    before = machines.stored()
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=2) as source, machines.machine() as only:
        run = machines.server.start(
            "add-volume-image", {"name": "unwanted", "image_format": "raw", "image_path": source.url}
        )
        wait_until_kept(machines, run, 4 * MIB)
        assert kept_in_memory(only), "the test sees where bytes are kept"
        machines.server.set_state(run, "CANCELLING")
        machines.server.wait_for(run, "CANCELLED")
        assert not kept_in_memory(only)
    assert_nothing_is_left(machines, run, before)


def kept_in_memory(machine: Worker) -> list[Path]:
    """Return the files that a machine keeps in its memory."""
    return [file for file in (machine.folder / "memory").rglob("*") if file.is_file()]


@pytest.mark.long
def test_cancelling_while_no_machine_runs_leaves_nothing_behind(machines: Machines, tmp_path: Path) -> None:
    before = machines.stored()
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=8) as source:
        with machines.machine() as only:
            run = machines.server.start(
                "add-volume-image", {"name": "unwanted", "image_format": "raw", "image_path": source.url}
            )
            wait_until_kept(machines, run, 8 * MIB)
            only.kill()
        machines.recover()
        assert machines.server.run(run)["state_name"] == "AwaitingRetry"
        assert machines.kept(run) >= 8 * MIB
        machines.server.set_state(run, "CANCELLING")
        machines.recover()
    assert machines.server.run(run)["state_type"] == "CANCELLED"
    assert_nothing_is_left(machines, run, before)


def assert_nothing_is_left(machines: Machines, run: str, before: set[Path]) -> None:
    with machines.catalog() as catalog:
        assert run not in {image.id for image in catalog.images()}
        assert f"image:{run}" not in {reserved.subject for reserved in catalog.reservations()}
        assert catalog.lease(run).holder is None
        assert [event.kind for event in catalog.events(run)][-1] == "imagewright.image.cancelled"
    assert run not in {one.landing_id for one in machines.storage().landings()}
    assert machines.stored() == before


def start_add(machines: Machines, source: SlowSource, kept: int) -> str:
    """Start an add and return its run once so many bytes are kept."""
    run = machines.server.start("add-volume-image", {"name": "orphan", "image_format": "raw", "image_path": source.url})
    wait_until_kept(machines, run, kept)
    return run


@pytest.mark.long
def test_a_run_whose_worker_alone_was_killed_is_finished_by_another(machines: Machines, tmp_path: Path) -> None:
    with slow_source(tmp_path, 64 * MIB, rate_mib_s=8) as source:
        with machines.machine() as first:
            run = start_add(machines, source, kept=source.size // 4)
            first.process.kill()
            first.process.wait()
            machines.server.wait_for(run, "CRASHED")  # at its next line: nobody reads its output
        with machines.machine():
            machines.recover()
            machines.server.wait_for(run, "COMPLETED")
        assert source.server.bytes_sent() <= source.size + 16 * MIB
    assert machines.image(run).md5 == source.md5()


@pytest.mark.long
def test_a_run_whose_worker_alone_was_killed_can_be_cancelled(machines: Machines, tmp_path: Path) -> None:
    before = machines.stored()
    with slow_source(tmp_path, 256 * MIB, rate_mib_s=2) as source, machines.machine() as only:
        run = start_add(machines, source, kept=4 * MIB)
        only.process.kill()
        only.process.wait()
        machines.server.set_state(run, "CANCELLING")
        time.sleep(BEAT_S)
        report = json.loads(machines.recover(stale_after_s=BEAT_S))
        assert [(item["subject"], item["outcome"]) for item in report["items"]] == [(f"image:{run}", "done")]
        deadline = time.monotonic() + 3 * BEAT_S
        while machines.server.run(run)["state_type"] != "CANCELLED":  # it may die of its first line of output
            assert time.monotonic() < deadline, "the process goes on"
            machines.recover(stale_after_s=BEAT_S)
        assert source.server.bytes_sent() < source.size, "it did not go on to its end"
    assert_nothing_is_left(machines, run, before)

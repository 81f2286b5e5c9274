"""A worker of ours on a real Prefect server: what its runs are, how they end, and what becomes of them when something dies."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound
from catalog.records import ImageStatus
from catalog.rules.upkeep.queues import queue_name
from tests.deployments.worker.conftest import (
    HOST,
    Here,
    lives,
    parent_of_runs,
    read_when_there,
    wait_for_end,
    worker_of,
)
from tests.services.nginx import nginx
from tests.services.process import children

pytestmark = [pytest.mark.xdist_group("worker"), pytest.mark.timeout(900)]
Process = subprocess.Popen[bytes]
MIB = 1 << 20


def test_a_managing_operation_is_picked_up_at_once(here: Here) -> None:
    """Not how fast, which the benchmark says; but that nobody waits for the next turn of asking, which is minutes away here.

    The first of this file: no other worker is there.
    """
    with worker_of(here.server, here.tree, here.folder / "seldom.log", PREFECT_WORKER_QUERY_SECONDS="300"):
        for number in range(3):
            here.look(f"press-{number}")


def test_a_run_is_forked_and_is_its_own_master(here: Here, worker: Process) -> None:
    seen = here.look("fresh")
    assert seen["parent"] == parent_of_runs(worker)
    assert seen["session"] == seen["group"] == seen["pid"]
    assert not seen["ignored"]
    assert not seen["blocked"]
    assert seen["folder"] == str(here.tree)


def test_a_run_has_no_file_and_no_secret_of_another(here: Here, worker: Process) -> None:
    long, path = here.start("long", sleep_s=3)
    other = read_when_there(path)
    seen = here.look("beside")
    sockets = {name: target for name, target in seen["files"].items() if int(name) > 2}
    assert not set(sockets.values()) & {t for n, t in other["files"].items() if int(n) > 2 and t.startswith("socket:")}
    theirs = {f"/proc/{pid}/fd" for pid in (worker.pid, parent_of_runs(worker))}
    kept = {
        str(f.readlink()) for folder in theirs for f in Path(folder).iterdir() if int(f.name) > 2 and f.is_symlink()
    }
    assert not set(sockets.values()) & {target for target in kept if target.startswith(("socket:", "pipe:"))}
    assert "PREFECT__CONTROL_TOKEN" not in seen["environment"]
    assert seen["environment"]["PREFECT__FLOW_RUN_ID"] != other["environment"]["PREFECT__FLOW_RUN_ID"] == long
    here.server.wait_for(long, "COMPLETED")


def test_no_run_and_no_deployment_chooses_its_environment(here: Here, worker: Process) -> None:
    chosen = {"env": {"EVIL": "1", "PYTHONPATH": "/tmp"}, "command": "touch /tmp/evil", "working_dir": "/"}
    found = here.server.record("deployments/name/look-around/look-around")
    path = here.folder / "chosen.json"
    run = here.server.record("flow_runs/", {
        "flow_id": found["flow_id"], "deployment_id": found["id"], "work_pool_name": "images", "job_variables": chosen,
        "work_queue_name": "prompt", "parameters": {"request": {"path": str(path)}}, "state": {"type": "SCHEDULED"},
    })  # fmt: skip
    here.server.wait_for(str(run["id"]), "COMPLETED")
    seen = read_when_there(path)
    assert "EVIL" not in seen["environment"]
    assert seen["folder"] == str(here.tree)
    assert seen["parent"] == parent_of_runs(worker)


def test_a_run_that_is_killed_is_crashed_and_takes_no_other_along(here: Here, worker: Process) -> None:
    other, path = here.start("survivor", sleep_s=4)
    read_when_there(path)
    run, _ = here.start("killed", die=signal.SIGKILL)
    ended = here.server.wait_for(run, "CRASHED")
    assert "-9" in str(ended["state"])
    here.server.wait_for(other, "COMPLETED")


def test_an_add_completes_and_one_that_is_cancelled_leaves_nothing(here: Here, worker: Process, tmp_path: Path) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "slow.raw").write_bytes(os.urandom(8 * MIB))
    small = here.folder / "small.raw"
    small.write_bytes(os.urandom(MIB))
    with nginx(tmp_path / "nginx", root, server="limit_rate 256k;") as source:
        asked = {"name": "slow", "image_format": "raw", "image_path": f"{source.url}/slow.raw"}
        slow = here.server.start("add-volume-image", asked)
        whole = here.server.start(
            "add-volume-image", {"name": "w", "image_format": "raw", "image_path": small.as_uri()}
        )
        here.server.wait_for(whole, "COMPLETED")
        here.server.wait_for(slow, "RUNNING")
        here.server.set_state(slow, "CANCELLING")
        here.server.wait_for(slow, "CANCELLED")
    with open_catalog(f"sqlite:///{here.folder}/home/catalog.db") as catalog:
        assert catalog.image(whole).status is ImageStatus.READY
        with pytest.raises(ImageNotFound):
            catalog.image(slow)


def test_what_is_prompt_does_not_wait_behind_what_moves_bytes(here: Here, worker: Process, tmp_path: Path) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "slow.raw").write_bytes(os.urandom(4 * MIB))
    with nginx(tmp_path / "nginx", root, server="limit_rate 128k;") as source:
        asked = {"name": "slow", "image_format": "raw", "image_path": f"{source.url}/slow.raw"}
        slow = [here.server.start("add-volume-image", asked) for _ in range(4)]  # two more than there are slots
        here.look("meanwhile")
        states = [here.server.run(run)["state_type"] for run in slow]
        assert "SCHEDULED" in states
        for run in slow:
            here.server.set_state(run, "CANCELLING")
        for run in slow:
            here.server.wait_for(run, "CANCELLED")


def test_a_run_for_this_host_is_taken_and_one_for_another_waits(here: Here, worker: Process) -> None:
    found = here.server.record("deployments/name/look-around/look-around")
    runs = {}
    for host in (HOST, "elsewhere"):
        path = here.folder / f"on-{host}.json"
        runs[host] = here.server.record(
            f"deployments/{found['id']}/create_flow_run",
            {"parameters": {"request": {"path": str(path)}}, "work_queue_name": queue_name("prompt", host),
             "state": {"type": "SCHEDULED"}},
        )  # fmt: skip
    here.server.wait_for(str(runs[HOST]["id"]), "COMPLETED")
    assert here.server.run(str(runs["elsewhere"]["id"]))["state_type"] == "SCHEDULED"


def test_changed_code_and_changed_settings_are_what_the_next_run_has(here: Here, worker: Process) -> None:
    before = here.look("before")
    flow = here.tree / "flows/upkeep/look_around.py"
    flow.write_text(flow.read_text().replace('VERSION = "first"', 'VERSION = "second"'))
    here.patient()
    after = here.look("after")
    assert (before["version"], after["version"]) == ("first", "second")
    assert before["parent"] != after["parent"] == parent_of_runs(worker)
    variable = here.server.record("variables/name/imagewright_run_environment")
    changed = {"value": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "IMAGEWRIGHT_LINK_HOURS": "3"}}
    here.server.change(f"variables/{variable['id']}", changed)
    here.patient()
    assert here.look("set")["environment"]["IMAGEWRIGHT_LINK_HOURS"] == "3"


@pytest.mark.long
def test_code_that_can_not_be_loaded_is_told_and_mended_code_runs_again(here: Here, worker: Process) -> None:
    flow = here.tree / "flows/images/enable.py"
    whole = flow.read_text()
    flow.write_text(f"raise RuntimeError('half an edit')\n{whole}")
    here.patient()
    seen = here.look("plain")  # of another file: started the plain way, as there is nothing to fork from
    assert seen["environment"].get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY") == "30"
    flow.write_text(whole)
    here.patient()
    assert here.look("repaired")["parent"] == parent_of_runs(worker)


def test_without_the_process_that_forks_the_next_run_gets_another(here: Here, worker: Process) -> None:
    run, path = here.start("orphan", sleep_s=60)
    seen = read_when_there(path)
    pid, parent = seen["pid"], seen["parent"]
    os.kill(parent, signal.SIGKILL)
    here.server.wait_for(run, "CRASHED")
    wait_for_end(pid)
    assert here.look("next")["parent"] != parent


def test_a_worker_that_is_killed_takes_its_runs_along(here: Here) -> None:
    with worker_of(here.server, here.tree, here.folder / "second.log", IMAGEWRIGHT_HOST="second") as second:
        _, pid = _run_on(here, "second", sleep_s=120)
        (parent,) = children(second.pid)
        second.kill()
        second.wait()
        wait_for_end(pid, parent)


def test_a_run_that_can_not_say_that_it_ended_with_its_worker_is_reported_by_the_worker(here: Here) -> None:
    with worker_of(here.server, here.tree, here.folder / "third.log", IMAGEWRIGHT_HOST="third") as third:
        run, pid = _run_on(here, "third", sleep_s=120)
        third.send_signal(signal.SIGSTOP)  # else it hears of the death first, or of its own end
        os.kill(pid, signal.SIGKILL)
        third.send_signal(signal.SIGTERM)
        third.send_signal(signal.SIGCONT)
        third.wait(40)
        here.server.wait_for(run, "CRASHED", within_s=5)


def test_a_worker_that_is_told_to_end_ends_its_runs_in_order(here: Here, worker: Process) -> None:
    """The last one of this worker."""
    run, pid = _run_on(here, HOST, sleep_s=120)
    worker.send_signal(signal.SIGTERM)
    worker.wait(40)
    here.server.wait_for(run, "CRASHED")
    assert not lives(pid)


def _run_on(here: Here, host: str, **fields: object) -> tuple[str, int]:
    """Begin a run on a host; return its id and its process."""
    found = here.server.record("deployments/name/look-around/look-around")
    path = here.folder / f"long-on-{host}.json"
    asked = {"parameters": {"request": {"path": str(path), **fields}}, "work_queue_name": queue_name("prompt", host),
             "state": {"type": "SCHEDULED"}}  # fmt: skip
    run = here.server.record(f"deployments/{found['id']}/create_flow_run", asked)
    return str(run["id"]), int(read_when_there(path, 90)["pid"])

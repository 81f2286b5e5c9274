"""Runs of deployments whose process died: started again by the server, or ended, and what becomes of their images."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Crashed, Pending, Running, Scheduled

from catalog import open_catalog
from catalog.errors import ImageNotFound
from catalog.records import Action, Image, ImageStatus, Plan, RecoverReport
from catalog.rules.upkeep.recovery import RESTART
from catalog.settings import load_settings
from flows.requests import RecoverRuns
from flows.upkeep.recover_runs import WATCHED
from storage.transfer.receive_buffer import place
from tasks.runtime.runs.server import RECOVERY, server_now
from tasks.upkeep.recover_runs import find_unwell
from tasks.upkeep.recover_runs import recover as recover_one
from tests.catalog.samples import an_image
from tests.storage.transfer.test_receive_buffer import left_by_a_dead_process

pytestmark = pytest.mark.prefect
POOL = "recovery-tests"


@pytest.fixture
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployment(client: SyncPrefectClient, home: Path) -> Iterator[UUID]:
    """Return a deployment of the flow that adds volume images, with a pool that no worker serves."""
    from flows import add_volume_image

    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
    flow_id = client.create_flow(add_volume_image)
    identity = client.create_deployment(flow_id=flow_id, name=str(uuid4()), work_pool_name=POOL)
    yield identity
    for run in client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[identity]))):
        client.delete_flow_run(run.id)
    client.delete_deployment(identity)


def a_run(client: SyncPrefectClient, deployment: UUID, *states: State[object], **request: object) -> FlowRun:
    """Return a run of the deployment that went through these states."""
    asked = {"name": "x", "image_path": "http://127.0.0.1:9/x", "image_format": "raw", **request}
    run = client.create_flow_run_from_deployment(deployment, parameters={"request": asked})
    for state in states:
        client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


def recover(**fields: object) -> RecoverReport | Plan:
    from flows import recover_runs

    return recover_runs(RecoverRuns.model_validate({"stale_after_s": 0, **fields}))


def outcomes() -> dict[str, str]:
    """Recover, once the clock by which the server is asked has come to now: a busy one tells its date late."""
    moment = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        while server_now(client) <= moment:
            time.sleep(0.1)
    report = recover()
    assert isinstance(report, RecoverReport)
    return {item.subject: item.outcome for item in report.items}


def saved(**fields: object) -> Image:
    """Put an image into the catalog that no run works at."""
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        return change.save_image(an_image(image_storages=("default",), format="raw", **fields))


def of_run(run: FlowRun, image_id: str) -> Image:
    """Put the image into the catalog that this run was bringing in."""
    with open_catalog() as catalog, catalog.changing(actor="admin", run_id=str(run.id)) as change:
        image = an_image(image_storages=("default",), format="raw", id=image_id, status=ImageStatus.DOWNLOADING)
        return change.save_image(image, event="imagewright.image.adding")


def state_of(client: SyncPrefectClient, run: FlowRun) -> tuple[str, str]:
    state = client.read_flow_run(run.id).state
    assert state is not None
    return state.name or "", state.message or ""


@pytest.mark.parametrize("state", [Crashed(), Running(), Pending()], ids=lambda state: state.name)
def test_a_dead_run_is_put_before_the_workers_again(
    client: SyncPrefectClient, deployment: UUID, state: State[object]
) -> None:
    run = a_run(client, deployment, state)
    assert outcomes() == {f"run:{run.id}": "done"}
    name, message = state_of(client, run)
    assert (name, message.partition(":")[0]) == ("AwaitingRetry", f"{RECOVERY}1")
    assert outcomes() == {}, "it waits for a worker"


def test_a_run_that_beats_is_left_alone(client: SyncPrefectClient, deployment: UUID) -> None:
    run = a_run(client, deployment, Running())
    report = recover(stale_after_s=600)
    assert report == RecoverReport()
    assert state_of(client, run)[0] == "Running"


def test_after_three_recoveries_a_run_fails_and_its_image_says_how_it_is_resumed(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    run = a_run(client, deployment, Crashed(), image_id=str(uuid4()))
    image = of_run(run, run.parameters["request"]["image_id"])
    for number in (1, 2, 3):
        assert outcomes() == {f"run:{run.id}": "done"}
        assert state_of(client, run)[1].startswith(f"{RECOVERY}{number}:")
        client.set_flow_run_state(run.id, Crashed(), force=True)
    assert outcomes() == {f"run:{run.id}": "done", f"image:{image.id}": "done"}
    name, message = state_of(client, run)
    assert name == "Failed"
    with open_catalog() as catalog:
        ended = catalog.image(image.id)
    assert (ended.status, ended.error) == (ImageStatus.ERROR, message)
    assert f"image_id {image.id}" in message


def test_an_add_whose_image_was_deleted_is_not_started_again(client: SyncPrefectClient, deployment: UUID) -> None:
    run = a_run(client, deployment, Crashed(), image_id=str(uuid4()))
    image = of_run(run, run.parameters["request"]["image_id"])
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    assert outcomes() == {f"run:{run.id}": "done"}
    assert state_of(client, run)[0] == "Cancelled"


@pytest.mark.parametrize("found", ["as it is", "crashed"])
def test_a_cancellation_whose_worker_died_is_finished(client: SyncPrefectClient, deployment: UUID, found: str) -> None:
    run = a_run(client, deployment, Running())
    image = of_run(run, str(run.id))
    client.set_flow_run_state(run.id, Cancelling(), force=True)
    if found == "crashed":  # by the automation, which looks sooner
        client.set_flow_run_state(run.id, Crashed(), force=True)
    assert outcomes() == {f"run:{run.id}": "done", f"image:{image.id}": "done"}
    assert state_of(client, run)[0] == "Cancelled"
    with open_catalog() as catalog, pytest.raises(ImageNotFound):
        catalog.image(image.id)


def test_a_cancelled_run_that_was_started_again_by_hand_is_no_cancelled_one(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    run = a_run(client, deployment, Running(), Cancelling(), Cancelled(), Scheduled(), Running(), Crashed())
    assert outcomes() == {f"run:{run.id}": "done"}
    assert state_of(client, run)[0] == "AwaitingRetry"


def test_a_run_that_a_worker_took_up_meanwhile_is_left_alone(client: SyncPrefectClient, deployment: UUID) -> None:
    run = a_run(client, deployment, Crashed())
    unwell = find_unwell.fn(WATCHED, 0)
    client.set_flow_run_state(run.id, Running(), force=True)
    action = Action(verb=RESTART, subject=f"run:{run.id}", reason="its process died")
    assert recover_one(action, unwell).outcome == "kept"
    assert state_of(client, run)[0] == "Running"


def test_the_image_of_a_run_that_was_cancelled_while_nobody_ran_it_vanishes(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    run = a_run(client, deployment, Crashed(), Cancelled())
    with open_catalog() as catalog, catalog.changing(actor="admin", run_id=str(run.id)) as change:
        asked = an_image(image_storages=("default",), status=ImageStatus.DOWNLOADING)
        image = change.save_image(asked, event="imagewright.image.adding")
    assert outcomes() == {f"image:{image.id}": "done"}
    with open_catalog() as catalog, pytest.raises(ImageNotFound):
        catalog.image(image.id)


def test_an_image_whose_holder_lives_is_left_alone_and_of_a_dead_one_becomes_resumable(
    client: SyncPrefectClient, home: Path
) -> None:
    living, dead = (saved(status=ImageStatus.DOWNLOADING) for _ in range(2))
    host, ticks = os.uname().nodename, Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    with open_catalog() as catalog:
        with catalog.locked(living.id, holder=f"call@{host}:{os.getpid()}:{ticks}"):
            left = catalog.locked(dead.id, holder=f"call@{host}:{os.getpid()}:1")
            left.__enter__()  # and never left: its process died
            assert outcomes() == {f"image:{dead.id}": "done"}
        assert catalog.image(living.id).status is ImageStatus.DOWNLOADING
        assert catalog.image(dead.id).status is ImageStatus.ERROR
        assert f"image_id {dead.id}" in str(catalog.image(dead.id).error)


def test_an_image_whose_move_died_stays_ready_where_it_is(client: SyncPrefectClient, home: Path) -> None:
    image = saved(status=ImageStatus.MIGRATING)
    assert outcomes() == {f"image:{image.id}": "done"}
    with open_catalog() as catalog:
        assert catalog.image(image.id).status is ImageStatus.READY


def test_the_memory_of_adds_that_are_over_is_given_back_whoever_died(client: SyncPrefectClient, home: Path) -> None:
    over = (saved(status=ImageStatus.READY).id, saved(status=ImageStatus.DELETED).id, "gone")
    unfinished = (
        saved(status=ImageStatus.DOWNLOADING).id,
        saved(status=ImageStatus.ERROR, error="its process died").id,
    )
    files = {image_id: place(load_settings(), image_id) for image_id in (*over, *unfinished)}
    for file in files.values():
        assert file is not None
        left_by_a_dead_process(file, 0, 10)
    recover(plan_only=True)
    assert all(file and file.exists() for file in files.values())
    recover()
    assert {image_id for image_id, file in files.items() if file and file.exists()} == set(unfinished)


def test_an_image_that_waits_for_a_storage_and_was_edited_meanwhile_is_left_alone(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    run = a_run(client, deployment, Running(), AwaitingRetry(message="waiting for image storage 's3': away"))
    with open_catalog() as catalog:
        with catalog.changing(actor="admin", run_id=str(run.id)) as change:
            asked = an_image(image_storages=("default",), status=ImageStatus.DOWNLOADING)
            image = change.save_image(asked, event="imagewright.image.waiting")
        with catalog.changing(actor="admin", run_id=str(uuid4())) as change:
            change.save_image(image.model_copy(update={"description": "x"}), event="imagewright.image.edited")
    assert outcomes() == {}
    client.set_flow_run_state(run.id, Cancelling(), force=True)
    report = recover(stale_after_s=3600)
    assert isinstance(report, RecoverReport)
    assert [item.outcome for item in report.items] == ["done"]
    assert state_of(client, run)[0] == "Cancelled"


def test_a_plan_changes_nothing(client: SyncPrefectClient, deployment: UUID) -> None:
    run = a_run(client, deployment, Crashed())
    plan = recover(plan_only=True)
    assert isinstance(plan, Plan)
    assert [(action.verb, action.subject) for action in plan.actions] == [("restart run", f"run:{run.id}")]
    assert state_of(client, run)[0] == "Crashed"

"""A run whose process comes back after another one has taken it up: nothing of the run changes, and how it ended is not told."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Cancelling, Completed, Running

from catalog import open_catalog
from catalog.errors import StaleLanding
from catalog.settings import load_settings
from tasks.runtime.runs.outcomes import told

pytestmark = pytest.mark.prefect


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def a_run(client: SyncPrefectClient, flow: "Flow[[], None]") -> FlowRun:
    """Return a new run of a deployment of a flow."""
    deployment = client.create_deployment(client.create_flow(flow), flow.name)
    return client.create_flow_run_from_deployment(deployment)


def ended(client: SyncPrefectClient, meanwhile: "State[None] | None") -> FlowRun:
    """Run a flow that loses what it held, and whose run is given a state by somebody else meanwhile; return the run."""
    ids: list[UUID] = []

    def work() -> None:
        if meanwhile is not None:
            client.set_flow_run_state(ids[0], meanwhile, force=True)
        raise StaleLanding("x")

    flow = Flow(told("add_volume_image", work), name="comes back")
    run = a_run(client, flow)
    ids.append(run.id)
    with pytest.raises((Abort, StaleLanding)):
        run_flow(flow, flow_run=run)
    return client.read_flow_run(run.id)


def outcome_of(run: FlowRun) -> object:
    with open_catalog(load_settings().catalog_address) as catalog:
        return catalog.outcome(str(run.id))


@pytest.mark.parametrize("state", [Completed(), Running(), AwaitingRetry()], ids=lambda state: state.name)
def test_what_another_process_made_of_it_stays(client: SyncPrefectClient, home: Path, state: "State[None]") -> None:
    run = ended(client, state)
    assert run.state is not None
    assert (run.state.type, run.state.name) == (state.type, state.name)
    assert outcome_of(run) is None


@pytest.mark.parametrize(
    ("state", "type_"), [(None, "FAILED"), (Cancelling(), "CANCELLING")], ids=["nobody", "cancelling"]
)
def test_of_a_run_that_is_still_ours_it_is_told_how_it_ended(
    client: SyncPrefectClient, home: Path, state: "State[None] | None", type_: str
) -> None:
    run = ended(client, state)
    assert run.state is not None
    assert run.state.type.value == type_
    assert outcome_of(run) is not None

"""Mark runs in the queue of an absent host with the reason they wait; Prefect alone would only show them as late."""

from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client

from catalog.records import Host
from catalog.rules.storages.hosts import away
from catalog.rules.upkeep.queues import own_queues
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs import server as runs
from tasks.runtime.task import task

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

MOST = 200
"""Runs of one host updated in one pass: Prefect's largest page."""


@task(task_run_name="say for which hosts runs wait", **retrying())
def tell_whom_runs_wait_for() -> int:
    """Write the reason into each run that waits for an absent host; return how many runs were updated."""
    with open_resources() as (settings, catalog):
        moment = catalog.now()
        silent = [host for host in catalog.hosts() if host.state != "Connected"] if settings.catalog_is_shared else []
    if not silent:
        return 0
    with get_client(sync_client=True) as client:
        return sum(
            _tell(client, host, f"queued for host {host.name!r}: {away(host.name, host, moment)}") for host in silent
        )


def _tell(client: "SyncPrefectClient", host: Host, sentence: str) -> int:
    from prefect.client.schemas.objects import State, StateType

    told = 0
    for run in _waiting(client, host):
        if run.state is not None and run.state.message != sentence:
            details = run.state.state_details.model_copy()
            waits: State[None] = State(
                type=StateType.SCHEDULED, name=run.state.name, message=sentence, state_details=details
            )
            client.set_flow_run_state(run.id, waits, force=True)
            told += 1
    return told


def _waiting(client: "SyncPrefectClient", host: Host) -> "list[FlowRun]":
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    scheduled = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    queue = filters.WorkQueueFilter(name=filters.WorkQueueFilterName(any_=[*own_queues(host.name)]))
    late = filters.FlowRunFilterExpectedStartTime(before_=runs.server_now(client))
    return client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(state=scheduled, expected_start_time=late),
        work_queue_filter=queue,
        limit=MOST,
    )

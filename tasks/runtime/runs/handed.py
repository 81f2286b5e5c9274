"""Runs that one host creates for another, on the Prefect server."""

from typing import TYPE_CHECKING
from uuid import UUID

from catalog.rules.upkeep.queues import on_host, queue_name
from tasks.runtime.runs.server import server_now, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

HANDED = "handed-over"
"""Tag of a run created for another one, beside `for:<its id>`."""
FOR = "for:"
WOKEN = "woken: "


def hand(
    client: "SyncPrefectClient", deployment: str, request: "Mapping[str, object]", host: str, run: "FlowRun | None"
) -> "FlowRun":
    """Create the run that does a request on a host, and return it; called again by the same run, return the same one.

    Raises ObjectNotFound if the server has no such deployment.
    """
    plain = client.read_deployment_by_name(f"{deployment}/{deployment}")
    return client.create_flow_run_from_deployment(
        _on_host(client, plain, host),
        parameters={"request": dict(request)},
        work_queue_name=on_host(plain.work_queue_name, host),
        tags=[HANDED, *([f"{FOR}{run.id}"] if run else [])],
        idempotency_key=_key(host, run),
    )


def _key(host: str, run: "FlowRun | None") -> str | None:
    return f"handed-{run.id}-{host}" if run else None


def _on_host(client: "SyncPrefectClient", plain: "DeploymentResponse", host: str) -> UUID:
    """Return the deployment for a host's run: if only one run at a time is allowed, each host has its own deployment.

    Otherwise one host's part would be cancelled while another host does its own.
    """
    if plain.global_concurrency_limit is None:
        return plain.id
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    grace = plain.concurrency_options.grace_period_seconds if plain.concurrency_options else None
    return client.create_deployment(
        flow_id=plain.flow_id,
        name=queue_name("bulk", host),
        description=plain.description,
        tags=[*plain.tags],
        parameters=plain.parameters,
        parameter_openapi_schema=plain.parameter_openapi_schema,
        enforce_parameter_schema=False,
        entrypoint=plain.entrypoint,
        pull_steps=plain.pull_steps,
        work_pool_name=plain.work_pool_name,
        work_queue_name=on_host(plain.work_queue_name, host),
        concurrency_limit=1,
        concurrency_options=ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=grace
        ),
    )


def is_handed(client: "SyncPrefectClient", host: str, run: "FlowRun | None") -> bool:
    """Tell whether a run has already created one for a host."""
    from prefect.client.schemas import filters

    if (key := _key(host, run)) is None:
        return False
    wanted = filters.FlowRunFilter(idempotency_key=filters.FlowRunFilterIdempotencyKey(any_=[key]))
    return bool(client.read_flow_runs(flow_run_filter=wanted, limit=1))


def how_it_ended(client: "SyncPrefectClient", run_id: UUID) -> str:
    """Return how a run ended, "" if it has not. A crashed run has not ended: it is started again."""
    state = client.read_flow_run(run_id).state
    if state is None or not state.is_final() or state.is_crashed():
        return ""
    return f"it is {state.name}" + (f": {state.message}" if state.message else "")


def wake(client: "SyncPrefectClient", run: "FlowRun") -> None:
    """Have the run that waits for this one resumed at once; a no-op if there is none."""
    from prefect.client.schemas.objects import State
    from prefect.states import AwaitingRetry

    for tag in run.tags:
        waiting = tag.removeprefix(FOR)
        if tag.startswith(FOR) and state_of(client, waiting) == "SCHEDULED":
            now: State[None] = AwaitingRetry(
                scheduled_time=server_now(client), message=f"{WOKEN}run {run.id} has ended"
            )
            client.set_flow_run_state(UUID(waiting), now)

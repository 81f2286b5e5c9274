"""Create or update every operation's deployment on the server: `python -m deployments.apply`. Safe to repeat."""

import argparse
import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any
from uuid import UUID

from catalog.loading import loading
from catalog.rules.upkeep.queues import queues_of_all_hosts
from catalog.settings import load_settings
from deployments.definitions import POOL, ROOT, DeploymentDefinition, definitions
from deployments.unchanged import deployments_found, is_unchanged
from flows.registry import OPERATIONS, Operation
from flows.server.environment import prepare
from flows.server.same_catalog import remember_server

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse

WORK_DIRECTORY = "prefect.deployments.steps.set_working_directory"
RUN_ENVIRONMENT = "imagewright_run_environment"
_PLACEHOLDER = f"prefect.variables.{RUN_ENVIRONMENT}"
JOB_TEMPLATE = {
    # A run's own `env` is merged into a literal value and replaces any other placeholder, but not a Prefect variable.
    "job_configuration": {"env": f"{{{{ {_PLACEHOLDER} }}}}"},
    "variables": {
        "type": "object",
        "properties": {_PLACEHOLDER: {"not": {}, "title": "Nothing to choose here"}},  # Prefect requires a title
        "additionalProperties": False,
    },
}
"""Job template: neither a run nor its deployment can choose the command, environment or working directory."""
HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


async def apply() -> tuple[str, ...]:
    """Create or update the work pool, and the deployments; return their names."""
    with loading():
        from prefect.client.orchestration import get_client

        from deployments.automations import remove_automations

    rows = definitions()
    async with get_client() as client:
        await put_work_pool(client)
        found = await deployments_found(client)
        await _drop_job_variables(client, found.values())
        for row in rows:
            if row.name not in found or not is_unchanged(found[row.name], said(row)):
                await put_deployment(client, row)
    await remove_automations()
    return tuple(row.name for row in rows)


async def put_work_pool(client: "PrefectClient") -> None:
    """Create or update the work pool and its queues. Its runs are processes on the worker's host, all started alike."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.variables import Variable

    await Variable.aset(RUN_ENVIRONMENT, HEARTBEAT, overwrite=True)
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=JOB_TEMPLATE)
    await client.create_work_pool(pool, overwrite=True)
    await put_queues(client, queues_of_all_hosts())


async def put_queues(client: "PrefectClient", names: Mapping[str, int | None]) -> None:
    """Create the missing queues of the work pool, each with its priority (None: the last)."""
    from prefect.exceptions import ObjectAlreadyExists

    known = {queue.name for queue in await client.read_work_queues(work_pool_name=POOL)}
    for name, priority in names.items():
        if name not in known:
            with suppress(ObjectAlreadyExists):  # another host's worker created it first
                await client.create_work_queue(name=name, priority=priority, work_pool_name=POOL)


async def _drop_job_variables(client: "PrefectClient", deployments: "Iterable[DeploymentResponse]") -> None:
    """Remove job variables that an older version, or somebody else, left on existing deployments."""
    from prefect.client.schemas.actions import DeploymentUpdate

    for found in deployments:
        if found.job_variables:
            await client.update_deployment(found.id, DeploymentUpdate(job_variables={}))


async def put_deployment(client: "PrefectClient", row: DeploymentDefinition) -> UUID:
    """Create or update one deployment; return its id."""
    flow_id = await client.create_flow_from_name(_operation(row).deployment)
    return await client.create_deployment(flow_id=flow_id, **said(row))


def _operation(row: DeploymentDefinition) -> Operation:
    return OPERATIONS[row.entrypoint.rpartition(".")[2]]


def said(row: DeploymentDefinition) -> dict[str, Any]:
    """Return the arguments of `create_deployment` for a deployment."""
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    cancelling = ConcurrencyOptions(
        collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=row.grace_s
    )
    return {
        "name": row.name,
        "description": row.description,
        "tags": list(row.tags),
        "parameters": dict(row.parameters),
        "parameter_openapi_schema": form(_operation(row).request),
        # The flow validates with the same model and gives better messages; this schema is simplified for the form.
        "enforce_parameter_schema": False,
        "entrypoint": row.entrypoint,
        "pull_steps": [{WORK_DIRECTORY: {"directory": str(ROOT)}}],
        "work_pool_name": POOL,
        "work_queue_name": row.queue,
        "schedules": _schedules(row),
        "concurrency_limit": 1 if row.single else None,
        "concurrency_options": cancelling if row.single else None,
    }


def _schedules(row: DeploymentDefinition) -> "list[DeploymentScheduleCreate]":
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s.cron, timezone=s.timezone),
            active=s.active,
            slug=s.slug,
            parameters=dict(s.parameters),
        )
        for s in row.schedules
    ]


def form(request: type) -> dict[str, Any]:
    """Return the parameter schema of a flow with this request, without importing the flow, which takes seconds."""
    from prefect.utilities.callables import parameter_schema

    def flow() -> None: ...

    taken = Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=request)
    flow.__signature__ = Signature([taken])  # type: ignore[attr-defined]
    return parameter_schema(flow).model_dump_for_openapi()


def main() -> None:
    """Create or update every operation's deployment on the Prefect server of this home, or of PREFECT_API_URL; say their names."""
    argparse.ArgumentParser(prog="python -m deployments.apply", description=main.__doc__).parse_args()
    settings = load_settings()
    server = prepare(settings)
    for name in asyncio.run(apply()):
        print(name)
    if server:
        remember_server(settings, server)


if __name__ == "__main__":
    main()

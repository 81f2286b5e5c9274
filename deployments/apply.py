"""Put every deployment of `prefect.yaml` on the server: `python -m deployments.apply`. Safe to repeat."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import UUID

from catalog.settings import load_settings
from deployments.definitions import ROOT, DeploymentDefinition, definitions
from flows.environment import prepare

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

WORK_DIRECTORY = "prefect.deployments.steps.set_working_directory"


async def apply() -> tuple[str, ...]:
    """Create or update the work pool, the deployments and the automations; return their names."""
    from prefect.client.orchestration import get_client

    from deployments.automations import apply_automations

    rows = definitions()
    async with get_client() as client:
        await put_work_pool(client, rows[0].work_pool.name)
        for row in rows:
            await put_deployment(client, row)
    return (*(row.name for row in rows), *await apply_automations())


async def put_work_pool(client: "PrefectClient", name: str) -> None:
    """Create or update the work pool: processes on the worker's host."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=name, type="process", base_job_template=template)
    await client.create_work_pool(pool, overwrite=True)


async def put_deployment(client: "PrefectClient", row: DeploymentDefinition) -> UUID:
    """Create or update one deployment; return its id."""
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
    from prefect.utilities.callables import parameter_schema

    flow = load_flow(row.entrypoint)
    limit = row.concurrency_limit
    return await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name=row.name,
        description=row.description,
        tags=list(row.tags),
        parameters=dict(row.parameters),
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        # The flow validates with the same model and says it better; the schema is simplified for the form.
        enforce_parameter_schema=False,
        entrypoint=row.entrypoint,
        pull_steps=[{WORK_DIRECTORY: {"directory": str(ROOT)}}],
        work_pool_name=row.work_pool.name,
        job_variables=dict(row.work_pool.job_variables),
        schedules=_schedules(row),
        concurrency_limit=limit.limit if limit else None,
        concurrency_options=ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy(limit.collision_strategy)
        )
        if limit
        else None,
    )


def _schedules(row: DeploymentDefinition) -> "list[DeploymentScheduleCreate]":
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s.cron, timezone=s.timezone),
            active=s.active, slug=s.slug, parameters=dict(s.parameters),
        )
        for s in row.schedules
    ]  # fmt: skip


def load_flow(entrypoint: str) -> "Flow[..., object]":
    """Return the flow that a dotted entrypoint names."""
    module, _, name = entrypoint.rpartition(".")
    flow: Flow[..., object] = getattr(import_module(module), name)
    return flow


def main() -> None:
    """Apply everything and say what is there."""
    prepare(load_settings())
    for name in asyncio.run(apply()):
        print(name)


if __name__ == "__main__":
    main()

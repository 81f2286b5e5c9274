"""The deployments, derived from the operations' rows."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from catalog.records import Record
from catalog.rules.upkeep.queues import queue_name
from flows.registry import OPERATIONS, Cron, Operation

ROOT = Path(__file__).parents[1]
POOL = "images"
"""The work pool whose workers take all runs."""


class Schedule(Record):
    """A deployment's schedule: a cron line in UTC. parameters: empty to use the deployment's own."""

    cron: str
    timezone: str = "UTC"
    slug: str
    active: bool = True
    parameters: dict[str, object] = Field(default_factory=dict)


class DeploymentDefinition(Record):
    """One deployment.

    queue: the work queue its runs wait in. single: one run at a time, a second one is cancelled; grace_s: how long a
    run that died keeps its concurrency slot.
    """

    name: str
    entrypoint: str
    description: str
    queue: str
    tags: tuple[str, ...] = ()
    parameters: dict[str, object] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    single: bool = False
    grace_s: int | None = None


def definitions() -> tuple[DeploymentDefinition, ...]:
    """Return all deployments, one per operation."""
    return tuple(map(definition_of, OPERATIONS.values()))


def definition_of(row: Operation) -> DeploymentDefinition:
    """Return an operation's deployment. A scheduled one runs without a request and has a tag that says so."""
    return DeploymentDefinition(
        name=row.deployment,
        entrypoint=f"{row.module}.{row.name}",
        description=row.about,
        queue=queue_name(row.queue),
        tags=(row.room, "scheduled") if row.schedules else (row.room,),
        parameters={"request": dict(row.defaults)} if row.schedules else {},
        schedules=tuple(_schedule(cron, row.defaults) for cron in row.schedules),
        single=row.single,
        grace_s=row.grace_s,
    )


def _schedule(cron: Cron, defaults: Mapping[str, object]) -> Schedule:
    parameters = {"request": {**defaults, **cron.request}} if cron.request else {}
    return Schedule(cron=cron.line, slug=cron.slug, parameters=parameters)

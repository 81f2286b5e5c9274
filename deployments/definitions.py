"""What `prefect.yaml` says, as typed records."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from catalog.records import Record

FILE = Path(__file__).with_name("prefect.yaml")
ROOT = Path(__file__).parents[1]


class Schedule(Record):
    """When a deployment runs by itself: a cron line in UTC."""

    cron: str
    timezone: str = "UTC"
    slug: str
    active: bool = True
    parameters: dict[str, object] = Field(default_factory=dict)


class ConcurrencyLimit(Record):
    """How many runs of a deployment may be under way, and what happens to one more."""

    limit: int
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class WorkPool(Record):
    """Where runs of a deployment are executed."""

    name: str
    job_variables: dict[str, object] = Field(default_factory=dict)


class DeploymentDefinition(Record):
    """One deployment."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...] = ()
    parameters: dict[str, object] = Field(default_factory=dict)
    work_pool: WorkPool
    schedules: tuple[Schedule, ...] = ()
    concurrency_limit: ConcurrencyLimit | None = None


def definitions(file: Path = FILE) -> tuple[DeploymentDefinition, ...]:
    """Return every deployment that the file defines."""
    import yaml

    return tuple(
        DeploymentDefinition.model_validate(row) for row in yaml.safe_load(file.read_text())["deployments"]
    )

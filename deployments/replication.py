"""Replication rules: each is a scheduled deployment of sync-images with its own filter, target, cron and deletion policy.

`python -m deployments.replication add NAME --source A --target B --cron "0 2 * * *"`, `list`, `remove NAME`.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.records import Record
from catalog.rules.images.naming import check_name
from catalog.settings import load_settings
from deployments.definitions import DeploymentDefinition, Schedule, definition_of
from flows.command.output import print_table
from flows.registry import row_of
from flows.requests import SyncImages
from flows.server.environment import prepare

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

PREFIX = "replicate-"
FIELDS = (
    "source",
    "target",
    "name_pattern",
    "family",
    "owner",
    "changed_since",
    "bandwidth_bytes_s",
    "deletion",
)


class ReplicationRule(Record):
    """The images to keep on the target, and the schedule of the syncs (cron, UTC)."""

    name: str
    source: str
    target: str
    cron: str = "0 2 * * *"
    name_pattern: str = "*"
    family: str | None = None
    owner: str | None = None
    changed_since: datetime | None = None
    bandwidth_bytes_s: int = 0
    deletion: Literal["keep", "mirror"] = "keep"
    active: bool = True

    def definition(self) -> DeploymentDefinition:
        """Return the deployment. One run at a time: a rule that takes longer than its interval skips a run."""
        plain = definition_of(row_of(SyncImages))
        request = self.model_dump(mode="json", include=set(FIELDS), exclude_none=True)
        slug = f"{PREFIX}rule"
        return plain.model_copy(
            update={
                "name": f"{PREFIX}{self.name}",
                "description": f"Keep **{self.target}** like **{self.source}**: images that match the rule, {self.deletion} deletions.",
                "tags": ("replication", "scheduled"),
                "parameters": {"request": request},
                "schedules": (
                    Schedule(cron=self.cron, slug=slug, active=self.active, parameters={"request": request}),
                ),
                "single": True,
            }
        )


async def add_rule(rule: ReplicationRule) -> str:
    """Create a rule on the server, or replace the one of that name; return its deployment's name.

    Raises InvalidRequest.
    """
    from prefect.client.orchestration import get_client

    from deployments.apply import put_deployment, put_work_pool

    check_name(rule.name)
    _check_cron(rule.cron)
    if rule.source == rule.target:
        raise InvalidRequest("target", rule.target, "another ImageStore than the source")
    definition = rule.definition()
    async with get_client() as client:
        await put_work_pool(client)
        await put_deployment(client, definition)
    return definition.name


async def rules() -> tuple[ReplicationRule, ...]:
    """Return the rules on the server, by name."""
    return tuple(sorted((_rule_of(found) for found in await _deployed()), key=lambda rule: rule.name))


async def remove_rule(name: str) -> None:
    """Delete a rule from the server; the images it synced stay. A no-op if there is none."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        for found in await _deployed():
            if found.name == f"{PREFIX}{name}":
                await client.delete_deployment(found.id)


async def _deployed() -> "Sequence[DeploymentResponse]":
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    wanted = DeploymentFilter(tags=DeploymentFilterTags(all_=["replication"]))
    async with get_client() as client:
        return await client.read_deployments(deployment_filter=wanted)


def _rule_of(found: "DeploymentResponse") -> ReplicationRule:
    (schedule,) = found.schedules
    cron = getattr(schedule.schedule, "cron", "")
    facts = {"name": found.name.removeprefix(PREFIX), "cron": cron, "active": schedule.active}
    return ReplicationRule.model_validate({**found.parameters["request"], **facts})


def _check_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron, timezone="UTC")
    except ValueError as error:
        raise InvalidRequest("cron", cron, "a cron line of five fields in UTC, such as 0 2 * * *") from error


app = App(name="python -m deployments.replication", help="Replication rules.", result_action="return_value")


@app.command(name="add")
def add(rule: Annotated[ReplicationRule, Parameter(name="*")]) -> None:
    """Add or replace a rule."""
    print(asyncio.run(add_rule(rule)))


@app.command(name="list")
def list_rules() -> None:
    """List the rules."""
    columns = ("name", "source", "target", "cron", "active", "name_pattern", "family", "owner", "deletion")
    print_table(asyncio.run(rules()), columns)


@app.command(name="remove")
def remove(name: str) -> None:
    """Remove a rule."""
    asyncio.run(remove_rule(name))


def main() -> None:
    """Run a command against the server of this home."""
    if prepare(load_settings()) is None:
        sys.exit("replication: rules live on a Prefect server; start it with `imagewright serve`")
    try:
        app()
    except ImagewrightError as error:
        sys.exit(f"replication: {error}")


if __name__ == "__main__":
    main()

"""Compare deployments on the server with their definitions; skipping unchanged ones saves seconds per start."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployments.definitions import POOL

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

PAGE = 200
LIKE = (
    "name", "description", "parameters", "parameter_openapi_schema", "enforce_parameter_schema", "entrypoint", "pull_steps",
    "work_pool_name", "work_queue_name", "concurrency_options",
)  # fmt: skip
"""Argument of `create_deployment` → the server's name of that field."""


async def deployments_found(client: "PrefectClient") -> "Mapping[str, DeploymentResponse]":
    """Return the deployments of the work pool, by name."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    in_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found: dict[str, DeploymentResponse] = {}
    while page := await client.read_deployments(work_pool_filter=in_pool, limit=PAGE, offset=len(found)):
        found |= {deployment.name: deployment for deployment in page}
        if len(page) < PAGE:
            break
    return found


def is_unchanged(found: "DeploymentResponse", said: Mapping[str, object]) -> bool:
    """Tell whether a deployment equals the arguments of `create_deployment`.

    A pause by an operator is no difference.
    """
    limit = found.global_concurrency_limit
    return (
        all(_json(getattr(found, name)) == _json(said[name]) for name in LIKE)
        and set(found.tags) == set(_listed(said["tags"]))
        and _schedules(found.schedules) == _schedules(_listed(said["schedules"]))
        and (limit.limit if limit else None) == said["concurrency_limit"]
        and not found.job_variables
    )


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _schedules(schedules: "Iterable[object]") -> list[str]:
    return sorted(
        _json([getattr(one, name) for name in ("slug", "active", "parameters", "schedule")]) for one in schedules
    )


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    from pydantic import BaseModel

    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)

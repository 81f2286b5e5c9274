"""Start a flow's deployment as a run for a worker."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings
from pydantic import ValidationError

from catalog.errors import ImagewrightError, KeyReused
from catalog.records import Record
from catalog.settings import load_settings
from flows.registry import OPERATIONS
from flows.server.client import prefect_client
from tasks.hosts.routing import queue_for

LIMIT_S = 15.0
"""Longest wait for the server: a person waits for the answer."""
GLANCE_S = 2.0
"""Longest wait of a page for something optional."""
SILENT = "the Prefect server does not answer"
UNREACHABLE = (httpx.HTTPError, PrefectException, TimeoutError)


class ServerUnavailable(ImagewrightError):
    """The Prefect server does not answer, or has no such deployment."""

    retryable = True

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; nothing was done, try again")


class Started(Record):
    """A run that was scheduled. url: of its page in the Prefect UI."""

    flow_run_id: UUID
    url: str
    state: str = "Scheduled"


async def start(
    flow_name: str,
    request: Mapping[str, object],
    key: str | None = None,
    tags: Sequence[str] = (),
    *,
    exact: bool = False,
) -> Started:
    """Schedule a run of a flow, named as in `flows`. key: a repeated call with it returns the same run.

    tags: of a new run; see `tasks.runtime.runs.acting`. exact: the key is for one request only. Raises
    ServerUnavailable, KeyReused.
    """
    name = flow_name.replace("_", "-")
    queue = await asyncio.to_thread(_queue, flow_name, request)
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            deployment = await client.read_deployment_by_name(f"{name}/{name}")
            run = await client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"request": dict(request)},
                idempotency_key=key,
                tags=tags,
                work_queue_name=queue,
            )
    except ObjectNotFound as error:
        raise ServerUnavailable(
            f"the server has no deployment {name}; `python -m deployments.apply` puts it there"
        ) from error
    except UNREACHABLE as error:
        raise ServerUnavailable(SILENT) from error
    if exact and key is not None and run.parameters.get("request") != dict(request):
        raise KeyReused(key, name)
    state = run.state.name if run.state is not None and run.state.name else "Scheduled"
    return Started(flow_run_id=run.id, url=run_page(run.id), state=state)


def _queue(flow_name: str, request: Mapping[str, object]) -> str | None:
    """Return the queue of the host that must do it, None for the common queue; the run may still be handed over."""
    row = OPERATIONS[flow_name]
    with suppress(ImagewrightError, ValidationError):
        return queue_for(row.bytes_at, row.queue, row.request.model_validate(dict(request)), load_settings())
    return None


def run_page(run_id: object) -> str:
    """Return the address of a run's page in the Prefect UI."""
    return f"{get_current_settings().ui_url or ''}/runs/flow-run/{run_id}"

"""Starting a flow's deployment: a run that a worker takes up."""

from collections.abc import Mapping
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from catalog.errors import ImagewrightError
from catalog.records import Record


class ServerUnavailable(ImagewrightError):
    """The Prefect server does not answer, or has no such deployment."""

    retryable = True

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"no run was started: {reason}; try again")


class Started(Record):
    """A run that was scheduled. url: of its page in the Prefect UI."""

    flow_run_id: UUID
    url: str


async def start(flow_name: str, request: Mapping[str, object], key: str | None = None) -> Started:
    """Schedule a run of a flow, named as in `flows`. key: asked for again with it, the same run comes back.

    Raises ServerUnavailable.
    """
    name = flow_name.replace("_", "-")
    try:
        async with get_client() as client:
            deployment = await client.read_deployment_by_name(f"{name}/{name}")
            run = await client.create_flow_run_from_deployment(
                deployment.id, parameters={"request": dict(request)}, idempotency_key=key
            )
    except ObjectNotFound as error:
        raise ServerUnavailable(
            f"the server has no deployment {name}; `python -m deployments.apply` puts it there"
        ) from error
    except (httpx.HTTPError, PrefectException) as error:
        raise ServerUnavailable(f"the Prefect server does not answer ({type(error).__name__})") from error
    return Started(flow_run_id=run.id, url=run_page(run.id))


def run_page(run_id: object) -> str:
    """Return the address of a run's page in the Prefect UI."""
    return f"{get_current_settings().ui_url or ''}/runs/flow-run/{run_id}"

"""Cache what launching a run needs besides the run itself: asked of the server every few seconds, not per run."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.workers.process import ProcessJobConfiguration

from deployments.worker.fingerprint import BEATS
from deployments.worker.launcher import Launch
from flows.registry import OPERATIONS

FRESH_S = 5.0
"""How long an answer is cached, and so how late a change of a deployment or of the pool takes effect."""


@dataclass(frozen=True)
class _Answer:
    operation: str | None
    configuration: ProcessJobConfiguration
    at: float


class Known:
    """Makes launches for runs of our deployments.

    Only the pool's template counts: job variables of a run or its deployment are ignored, so that neither can choose an
    environment, a command or a working directory.
    """

    def __init__(self, worker_name: str) -> None:
        self._worker_name = worker_name
        self._answers: dict[UUID, _Answer] = {}

    async def launch(self, flow_run: FlowRun, client: PrefectClient, pool: WorkPool) -> Launch | None:
        """Return a run's launch; None if its deployment is not ours. Raises ObjectNotFound, HTTPError."""
        if flow_run.deployment_id is None:
            return None
        answer = self._answers.get(flow_run.deployment_id)
        if answer is None or time.monotonic() - answer.at > FRESH_S:
            answer = self._answers[flow_run.deployment_id] = await _asked(flow_run.deployment_id, client, pool)
        if answer.operation is None:
            return None
        return Launch(flow_run, answer.operation, self._prepared(answer.configuration, flow_run))

    async def environment(self, client: PrefectClient, pool: WorkPool) -> Mapping[str, str]:
        """Return the environment that all runs share, without each run's own variables.

        Raises ObjectNotFound, HTTPError.
        """
        return self._prepared(await _configured(client, pool), FlowRun(flow_id=uuid4(), name="any"))

    def _prepared(self, configuration: ProcessJobConfiguration, flow_run: FlowRun) -> Mapping[str, str]:
        own = configuration.model_copy(deep=True)
        own.prepare_for_flow_run(flow_run, worker_name=self._worker_name)
        # The worker sends the heartbeats: a thread in the run itself would cost it a second at its end.
        return {name: value for name, value in own.env.items() if value is not None and name != BEATS}


async def _asked(deployment_id: UUID, client: PrefectClient, pool: WorkPool) -> _Answer:
    at = time.monotonic()
    deployment = await client.read_deployment(deployment_id)
    return _Answer(_operation_of(deployment), await _configured(client, pool), at)


async def _configured(client: PrefectClient, pool: WorkPool) -> ProcessJobConfiguration:
    return await ProcessJobConfiguration.from_template_and_values(pool.base_job_template, {}, client=client)


def _operation_of(deployment: DeploymentResponse) -> str | None:
    """Return the operation that a deployment runs, by its entrypoint."""
    entrypoint = deployment.entrypoint
    return next((name for name, row in OPERATIONS.items() if f"{row.module}.{row.name}" == entrypoint), None)

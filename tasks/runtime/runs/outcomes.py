"""Store the outcome of a deployment's run in the catalog for remote callers, who reach no worker's disk or memory."""

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import pydantic_core
from prefect.context import FlowRunContext
from pydantic import BaseModel

from catalog.errors import ImagewrightError
from catalog.errors.describing import described
from catalog.records import Outcome
from tasks.runtime.resources import open_resources
from tasks.runtime.runs.superseded import abort_if_superseded

P = ParamSpec("P")
R = TypeVar("R")
MOST = 1 << 20
"""Most characters of a stored result: some hundred images. A larger result is described by the run's state."""
log = logging.getLogger("imagewright.outcomes")


def told(operation: str, function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a flow's function so that it stores its outcome if it runs for a deployment."""

    @wraps(function)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            abort_if_superseded(error)
            if isinstance(error, ImagewrightError):
                _keep(operation, None, described(error))
            raise
        _keep(operation, result_json(result), None)
        return result

    return telling


def result_json(result: object) -> str | None:
    """Return a flow's result as the command's `--json` prints it, None if it is too large to store."""
    text = pydantic_core.to_json(result).decode() if isinstance(result, BaseModel | Sequence) else None
    return text if text is not None and len(text) <= MOST else None


def _keep(operation: str, result: str | None, error: dict[str, object] | None) -> None:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return
    try:
        with open_resources() as (_, catalog):
            at = catalog.now()
            catalog.keep_outcome(
                Outcome(run_id=str(run.id), operation=operation, result=result, error=error, created_at=at)
            )
    except ImagewrightError as error_of_ours:  # the run's own end matters more, and its state has the sentence
        log.warning("how the run ended could not be kept: %s", error_of_ours)

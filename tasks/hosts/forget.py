"""Remove outcomes of handed-over runs that nobody waits for any more."""

from datetime import timedelta

from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

KEPT = timedelta(days=7)
"""Longer than any run waits for a run on another host."""


@task(task_run_name="forget what runs for other hosts returned", **retrying())
def forget_outcomes() -> int:
    """Remove old outcomes that runs left for other hosts; return how many."""
    with open_resources() as (_, catalog), changing(catalog, "system") as change:
        return change.forget_run_outcomes(KEPT)

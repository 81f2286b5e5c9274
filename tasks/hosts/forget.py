"""What hosts told each other and nobody waits for any more."""

from datetime import timedelta

from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

KEPT = timedelta(days=7)
"""Longer than anybody waits for a run on another host."""


@task(task_run_name="forget what runs for other hosts returned", **retrying())
def forget_outcomes() -> int:
    """Remove what runs left for other hosts long ago; return how many."""
    with open_resources() as (_, catalog), changing(catalog, "system") as change:
        return change.forget_run_outcomes(KEPT)

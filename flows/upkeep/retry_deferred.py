"""Retry deferred work."""

from catalog.records import CleanupReport, Plan
from flows.operation import flow_of
from flows.requests import RetryDeferred
from tasks.runtime.batches import cut
from tasks.upkeep.retry_deferred import due_work, plan_retry, retry


@flow_of(RetryDeferred)
def retry_deferred(request: RetryDeferred) -> CleanupReport | Plan:
    """Retry deferred work; an item that fails again waits longer each time, with its reason."""
    works = due_work(request.storage, request.force, request.host)
    if request.plan_only:
        return plan_retry(works)
    items = [item for some in cut(works) for item in retry(some, request.account)]
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return CleanupReport(items=tuple(items), bytes_freed=freed)

"""Try deferred work again."""

from catalog.records import CleanupReport, Plan
from flows.operation import flow_of
from flows.requests import RetryDeferred
from tasks.runtime.batches import cut
from tasks.upkeep.retry_deferred import due_work, plan_retry, retry


@flow_of(RetryDeferred)
def retry_deferred(request: RetryDeferred) -> CleanupReport | Plan:
    """Try again what could not be done before; what still can't be done waits on, longer each time, with its reason."""
    works = due_work(request.storage, request.force, request.host)
    if request.plan_only:
        return plan_retry(works)
    items = [item for some in cut(works) for item in retry(some, request.account)]
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return CleanupReport(items=tuple(items), bytes_freed=freed)

"""Try deferred work again."""

from prefect import flow

from catalog.records import CleanupReport, ItemOutcome, Plan
from flows.requests import RetryDeferred
from tasks.each import BATCH
from tasks.retry import due_work, plan_retry, retry


@flow(name="retry-deferred")
def retry_deferred(request: RetryDeferred) -> CleanupReport | Plan:
    """Try again what could not be done before; what still can't be done waits on, longer each time, with its reason."""
    works = due_work(request.storage, request.force)
    if request.plan_only:
        return plan_retry(works)
    items: list[ItemOutcome] = []
    for start in range(0, len(works), BATCH):
        items += retry(works[start : start + BATCH], request.account)
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return CleanupReport(items=tuple(items), bytes_freed=freed)

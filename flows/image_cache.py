"""Clean the image cache of a primary storage."""

from prefect import flow

from catalog.records import CleanupReport, ItemOutcome, Plan
from flows.naming import named
from flows.requests import CleanImageCache
from tasks.cache import drop, drops, plan_drops
from tasks.each import BATCH


@flow(name="clean-image-cache", flow_run_name=named("clean the cache of {primary_storage}"))
def clean_image_cache(request: CleanImageCache) -> CleanupReport | Plan:
    """Drop cached images that no volume uses and whose image is gone, or past a budget, least recently used first.

    Raises PrimaryStorageNotFound, StorageUnavailable.
    """
    planned = drops(request.primary_storage, request.budget_bytes)
    if request.plan_only:
        return plan_drops(request.primary_storage, planned)
    items: list[ItemOutcome] = []
    for start in range(0, len(planned), BATCH):
        items += drop(request.primary_storage, planned[start : start + BATCH], request.account)
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return CleanupReport(items=tuple(items), bytes_freed=freed)

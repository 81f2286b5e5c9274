"""Clean the image cache of a primary storage."""

from catalog.records import CleanupReport, Plan
from flows.operation import flow_of
from flows.requests import CleanImageCache
from tasks.runtime.batches import cut
from tasks.volumes.cache import drop, drops, plan_drops


@flow_of(CleanImageCache)
def clean_image_cache(request: CleanImageCache) -> CleanupReport | Plan:
    """Drop cached images without volumes if the image is gone, or, past a budget, the least recently used first.

    Raises PrimaryStorageNotFound, StorageUnavailable.
    """
    planned = drops(request.primary_storage, request.budget_bytes)
    if request.plan_only:
        return plan_drops(request.primary_storage, planned)
    items = [item for some in cut(planned) for item in drop(request.primary_storage, some, request.account)]
    freed = sum(item.bytes for item in items if item.outcome == "done")
    return CleanupReport(items=tuple(items), bytes_freed=freed)

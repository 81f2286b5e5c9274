"""Adopt the images on an image storage."""

from catalog.records import Plan, ReconcileReport
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import AdoptStorage
from tasks.runtime.batches import cut
from tasks.storages.adopt import adopt, held_on, plan_adopt, restore_index


@flow_of(AdoptStorage)
def adopt_storage(request: AdoptStorage) -> ReconcileReport | Plan:
    """Rebuild the catalog's rows of images and replicas from the storage's own description. Safe to repeat.

    Rows that the catalog already has stay unchanged; edits made after an image was published are not on the storage.
    Admin only. Raises StorageNotFound, StorageUnavailable.
    """
    require_admin(request.account, "adopt storages")
    held = held_on(request.image_storage)
    if request.plan_only:
        return plan_adopt(request.image_storage, held)
    restore_index(request.image_storage)
    items = [item for some in cut(held) for item in adopt(request.image_storage, some, request.account)]
    return ReconcileReport(items=tuple(items))

"""Adopt what an image storage holds."""

from prefect import flow

from catalog.records import ItemOutcome, Plan, ReconcileReport
from catalog.rules.administration import require_admin
from flows.naming import named
from flows.requests import AdoptStorage
from tasks.adopt import adopt, held_on, plan_adopt, restore_index
from tasks.each import BATCH


@flow(name="adopt-storage", flow_run_name=named("adopt {image_storage}"))
def adopt_storage(request: AdoptStorage) -> ReconcileReport | Plan:
    """Rebuild the catalog's rows of images and replicas from the storage's own description. Safe to repeat.

    What the catalog knows already is left alone; edits made after an image was published are not on the storage.
    Admin only. Raises StorageNotFound, StorageUnavailable.
    """
    require_admin(request.account, "adopt storages")
    held = held_on(request.image_storage)
    if request.plan_only:
        return plan_adopt(request.image_storage, held)
    restore_index(request.image_storage)
    items: list[ItemOutcome] = []
    for start in range(0, len(held), BATCH):
        items += adopt(request.image_storage, held[start : start + BATCH], request.account)
    return ReconcileReport(items=tuple(items))

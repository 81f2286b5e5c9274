"""Reconcile: compare catalog and storages both ways; plan, then correct."""

from collections.abc import Sequence

from prefect.artifacts import create_table_artifact

from catalog.records import Plan, ReconcileReport
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.storages.drift import Drift, actions_of
from flows.operation import flow_of
from flows.requests import ReconcileStorages
from tasks.runtime.batches import cut
from tasks.runtime.runs.notify import quietly
from tasks.storages.inventory import take_stock
from tasks.storages.reclaim import choose_storages
from tasks.storages.reconcile import reconcile_batch

BATCH = 50


@flow_of(ReconcileStorages)
def reconcile_storages(request: ReconcileStorages) -> ReconcileReport | Plan:
    """Compare catalog and storages and correct the differences; with `plan_only` return the plan.

    A storage that does not answer proves nothing, and images in use by a run are left alone. Each item is a difference:
    done, kept (undecidable) or failed with the reason. Raises StorageNotFound.
    """
    require_admin(request.account, "reconcile storages")
    drifts = take_stock(choose_storages(request.image_storages, request.host))
    quietly(lambda: _show(drifts))
    if request.plan_only:
        summary = f"{len(drifts)} differences between catalog and storages"
        return Plan(operation="reconcile storages", actions=actions_of(drifts), summary=summary)
    items = [item for some in cut(drifts, BATCH) for item in reconcile_batch(some)]
    return ReconcileReport(items=tuple(items))


def _show(drifts: Sequence[Drift]) -> None:
    rows = [drift.model_dump(mode="json") for drift in drifts]
    create_table_artifact(rows, key="storage-drift", description=f"{len(drifts)} differences found")

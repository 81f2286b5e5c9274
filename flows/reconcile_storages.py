"""Reconcile: compare catalog and storages both ways; plan, then mend."""

from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import create_table_artifact

from catalog.drift import Drift, actions_of
from catalog.records import Plan, ReconcileReport
from catalog.rules.administration import require_admin
from flows.requests import ReconcileStorages
from tasks.artifacts import quietly
from tasks.inventory import take_stock
from tasks.mend import mend_batch
from tasks.reclaim import choose_storages

BATCH = 50


@flow(name="reconcile-storages", flow_run_name="reconcile storages")
def reconcile_storages(request: ReconcileStorages) -> ReconcileReport | Plan:
    """Compare catalog and storages and mend what differs; with `plan_only` say what would be mended.

    Nothing is concluded from a storage that does not answer, and what somebody works on is left alone. Each item is a
    difference: done, kept (nobody can say what is right) or failed with the reason. Raises StorageNotFound.
    """
    require_admin(request.account, "reconcile storages")
    drifts = take_stock(choose_storages(request.image_storages))
    quietly(lambda: _show(drifts))
    if request.plan_only:
        summary = f"{len(drifts)} differences between catalog and storages"
        return Plan(operation="reconcile storages", actions=actions_of(drifts), summary=summary)
    items = [
        item for start in range(0, len(drifts), BATCH) for item in mend_batch(drifts[start : start + BATCH])
    ]
    return ReconcileReport(items=tuple(items))


def _show(drifts: Sequence[Drift]) -> None:
    rows = [drift.model_dump(mode="json") for drift in drifts]
    create_table_artifact(rows, key="storage-drift", description=f"{len(drifts)} differences found")

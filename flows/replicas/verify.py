"""Verify replicas: read and prove them, oldest proof first; repair damage from other replicas."""

from collections.abc import Sequence

from prefect.artifacts import create_table_artifact

from catalog.records import Plan, VerifyReport
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import VerifyReplicas
from tasks.replicas.verify import Budget, Due, ages, choose_replicas, plan_verification, total, verify_batch
from tasks.runtime.batches import cut
from tasks.runtime.runs.notify import quietly
from tasks.storages.reclaim import choose_storages

BATCH = 50


@flow_of(VerifyReplicas)
def verify_replicas(request: VerifyReplicas) -> VerifyReport | Plan:
    """Prove replicas within a budget of bytes; repair damage from another replica, else mark the replica Damaged.

    Each item is a piece or a replica that was damaged (done: repaired; failed: not repaired) or unreadable now
    (pending). Raises StorageNotFound, ImageNotFound.
    """
    require_admin(request.account, "verify replicas")
    names = choose_storages(request.image_storages, request.host)
    due = choose_replicas(names, request.image_ids)
    budget = Budget(left_bytes=request.budget_bytes, bytes_per_second=request.bytes_per_second)
    if request.plan_only:
        return plan_verification(due, budget)
    report = _verify(due, budget)
    quietly(lambda: _show(names))
    return report


def _verify(due: Sequence[Due], budget: Budget) -> VerifyReport:
    reports = []
    for some in cut(due, BATCH):
        if budget.spent:
            break
        reports.append(verify_batch(some, budget))
        budget = budget.minus(reports[-1].bytes_read)
    return total(reports)


def _show(names: Sequence[str]) -> None:
    columns = ("image storage", "replicas", "never proven", "damaged", "oldest proof")
    rows = [dict(zip(columns, row, strict=True)) for row in ages(names)]
    create_table_artifact(rows, key="replica-verification", description="when replicas were last proven")

"""Expunge images from the recycle bin: those named, or all that outlived their retention."""

from collections.abc import Sequence

from prefect import flow

from catalog.records import ExpungeReport, ItemOutcome, Plan
from flows.naming import named
from flows.requests import ExpungeImage, PurgeRecycleBin
from tasks.each import Outcomes, all_done, in_batches
from tasks.expunge import expunge, plan_expunge
from tasks.purge import due_images


@flow(name="expunge-image", flow_run_name=named("expunge {image_ids}"))
def expunge_image(request: ExpungeImage) -> ExpungeReport | Plan:
    """Expunge images with their exports. Can't be undone; bits that can't be deleted now are `pending` and go later.

    What failed is in the report; where nothing could be expunged, its error is raised.
    """
    if request.plan_only:
        return plan_expunge(request.image_ids, request.account)
    outcomes = _expunge(request.image_ids, request.account)
    if not outcomes.done:
        all_done("expunge image", outcomes)
    return _report(outcomes)


@flow(name="purge-recycle-bin")
def purge_recycle_bin(request: PurgeRecycleBin) -> ExpungeReport | Plan:
    """Expunge what outlived its retention, account by account's policy. What failed is in the report."""
    due = due_images(request.account, request.retention_days, request.policy)
    if not due:
        return (
            Plan(operation="expunge image", summary="nothing is due")
            if request.plan_only
            else ExpungeReport()
        )
    if request.plan_only:
        return plan_expunge(due, request.account)
    return _report(_expunge(due, request.account))


def _expunge(image_ids: Sequence[str], account: str) -> Outcomes[ItemOutcome]:
    return in_batches(image_ids, lambda ids: expunge(ids, account))


def _report(outcomes: Outcomes[ItemOutcome]) -> ExpungeReport:
    failed = (
        ItemOutcome(subject=f"image:{image_id}", outcome="failed", reason=str(error))
        for image_id, error in outcomes.failed.items()
    )
    return ExpungeReport(
        items=(*outcomes.done, *failed), bytes_freed=sum(item.bytes for item in outcomes.done)
    )

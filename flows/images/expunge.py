"""Expunge images from the recycle bin: those named, or all past their retention; move expired images to the bin."""

from collections.abc import Iterator, Mapping, Sequence

from catalog.errors import ImagewrightError
from catalog.records import ExpungeReport, Image, ItemOutcome, Plan
from flows.operation import flow_of
from flows.requests import ExpungeImage, PurgeRecycleBin
from tasks.images.delete import delete, plan_delete
from tasks.images.expunge import due_images, expired_images, expunge, plan_expunge
from tasks.runtime.batches import Outcomes, all_done, in_batches


@flow_of(ExpungeImage)
def expunge_image(request: ExpungeImage) -> ExpungeReport | Plan:
    """Expunge images with their exports, irreversibly; data that can't be deleted now are `pending` and deleted later.

    Failures are in the report; if no image could be expunged, the error is raised.
    """
    if request.plan_only:
        return plan_expunge(request.image_ids, request.account)
    outcomes = _expunge(request.image_ids, request.account)
    if not outcomes.done:
        all_done("expunge image", outcomes)
    return _report(outcomes)


@flow_of(PurgeRecycleBin)
def purge_recycle_bin(request: PurgeRecycleBin) -> ExpungeReport | Plan:
    """Move expired images to the bin, and expunge those past their retention, by each account's policy.

    Failures are in the report.
    """
    expired = expired_images(request.account)
    if request.plan_only:
        return _plan(expired, request)
    binned = in_batches(expired, lambda ids: delete(ids, request.account))
    report = _report(_expunge(_due(request), request.account))
    return report.model_copy(update={"items": (*_binned(binned), *report.items)})


def _due(request: PurgeRecycleBin) -> tuple[str, ...]:
    return due_images(request.account, request.retention_days, request.policy)


def _plan(expired: Sequence[str], request: PurgeRecycleBin) -> Plan:
    due = _due(request)
    plans = [plan_delete(expired, request.account)] if expired else []
    plans += [plan_expunge(due, request.account)] if due else []
    return Plan(
        operation="expunge image",
        actions=tuple(action for plan in plans for action in plan.actions),
        summary="; ".join(plan.summary for plan in plans) or "nothing is due",
    )


def _binned(outcomes: Outcomes[Image]) -> tuple[ItemOutcome, ...]:
    done = (
        ItemOutcome(subject=f"image:{image.id}", outcome="kept", reason="it expired: in the recycle bin now")
        for image in outcomes.done
    )
    return (*done, *_failures(outcomes.failed))


def _expunge(image_ids: Sequence[str], account: str) -> Outcomes[ItemOutcome]:
    return in_batches(image_ids, lambda ids: expunge(ids, account))


def _report(outcomes: Outcomes[ItemOutcome]) -> ExpungeReport:
    return ExpungeReport(
        items=(*outcomes.done, *_failures(outcomes.failed)),
        bytes_freed=sum(item.bytes for item in outcomes.done),
    )


def _failures(failed: Mapping[str, ImagewrightError]) -> Iterator[ItemOutcome]:
    for image_id, error in failed.items():
        yield ItemOutcome(subject=f"image:{image_id}", outcome="failed", reason=str(error))

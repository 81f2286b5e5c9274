"""Compact storage: images that were not written lately take less room and read as before."""

from collections.abc import Iterator

from catalog.records import Action, CompactionReport, Plan
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import CompactStorage
from tasks.storages.compact import compact, joined
from tasks.storages.reclaim import choose_storages


@flow_of(CompactStorage)
def compact_storage(request: CompactStorage) -> CompactionReport | Plan:
    """Put images written `older_than_days` ago or earlier into the smallest form, on ImageStores.

    Safe during adds, exports, syncs and reclaims. Raises StorageNotFound, ImageBusy if another run compacts the
    storage.
    """
    require_admin(request.account, "compact storage")
    names = choose_storages((request.image_storage,) if request.image_storage else (), request.host)
    reports = tuple(_compacted(request, names))
    return _plan(reports) if request.plan_only else joined(reports)


def _compacted(request: CompactStorage, names: tuple[str, ...]) -> Iterator[CompactionReport]:
    left = request.budget_bytes
    for name in names:
        if left is None or left > 0:
            report = compact(name, request.older_than_days, left, plan_only=request.plan_only)
            if report is not None:
                left = None if left is None else left - report.bytes_read
                yield report


def _plan(reports: tuple[CompactionReport, ...]) -> Plan:
    actions = [
        Action(
            verb="compact",
            subject=report.image_storage,
            bytes=report.bytes_before,
            reason=f"{report.images} images are due",
        )
        for report in reports
        if report.images
    ]
    images, stored = sum(report.images for report in reports), sum(report.bytes_before for report in reports)
    summary = f"compact {images} images; the storages hold {stored} bytes in chips now"
    return Plan(operation="compact storage", actions=tuple(actions), summary=summary)

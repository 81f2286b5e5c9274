"""Reclaim space: free chips and landings that no image, recycle bin or leftover needs."""

from catalog.records import Action, Plan, ReclaimReport
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import ReclaimSpace
from tasks.add.uploads import sweep_uploads
from tasks.hosts.forget import forget_outcomes
from tasks.storages.reclaim import choose_storages, joined, reclaim


@flow_of(ReclaimSpace)
def reclaim_space(request: ReclaimSpace) -> ReclaimReport | Plan:
    """Free unneeded space on image storages, and abandoned uploads; safe during adds.

    On ImageStores: chips and landings. On Ceph: landings, and interrupted deletions. Raises StorageNotFound.
    """
    require_admin(request.account, "reclaim space")
    names = choose_storages(request.image_storages, request.host)
    reports = [reclaim(name, plan_only=request.plan_only) for name in names]
    if not request.image_storages:
        reports.append(sweep_uploads(plan_only=request.plan_only))
        if not request.plan_only:
            forget_outcomes()
    report = joined(reports)
    return _plan(report) if request.plan_only else report


def _plan(report: ReclaimReport) -> Plan:
    actions = [
        Action(
            verb="delete" if item.outcome == "done" else "leave",
            subject=item.subject,
            bytes=item.bytes,
            reason=item.reason,
        )
        for item in report.items
    ]
    summary = f"free {report.bytes_freed} bytes in {report.chips_freed} chips; {report.chips_kept} chips are needed"
    return Plan(operation="reclaim space", actions=tuple(actions), summary=summary)

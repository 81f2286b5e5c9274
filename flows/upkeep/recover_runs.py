"""Restart runs whose process died, and report those that can't continue by themselves."""

import time
from datetime import timedelta

from catalog.records import Plan, RecoverReport
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.upkeep.recovery import is_dead, plan_recovery
from flows.operation import flow_of
from flows.registry import OPERATIONS, row_of
from flows.requests import RecoverRuns
from tasks.hosts.waiting_runs import tell_whom_runs_wait_for
from tasks.runtime.runs.server import Watched
from tasks.runtime.task import run_logger
from tasks.upkeep.recover_runs import Unwell, find_unwell, forget_leases, forget_receive_buffers, recover

WATCHED = Watched(
    flows=tuple(row.deployment for row in OPERATIONS.values()),
    adding=tuple(row.deployment for row in OPERATIONS.values() if row.adds),
    recovering=row_of(RecoverRuns).deployment,
)
BEAT_S = 35.0
"""One heartbeat of 30 s and a little."""


@flow_of(RecoverRuns)
def recover_runs(request: RecoverRuns) -> RecoverReport | Plan:
    """Restart dead runs, at most three times each; end those that can't continue, and say how to resume their images.

    A run that only fell silent is checked twice, a heartbeat apart: the server itself may have been away.
    """
    require_admin(request.account, "recover runs")
    unwell = find_unwell(WATCHED, request.stale_after_s)
    if _only_silent(unwell, request.stale_after_s) and not request.plan_only:
        time.sleep(min(BEAT_S, request.stale_after_s))
        unwell = find_unwell(WATCHED, request.stale_after_s)
    actions = plan_recovery(unwell.runs, unwell.images, unwell.at, request.stale_after_s, catalog_now=unwell.catalog_at)
    run_logger().info(
        "%s runs and %s images looked at, %s need something", len(unwell.runs), len(unwell.images), len(actions)
    )
    if request.plan_only:
        return Plan(operation="recover runs", actions=actions, summary=f"{len(actions)} things to do")
    items = tuple(recover(action, unwell) for action in actions)
    forget_receive_buffers()
    forget_leases()
    tell_whom_runs_wait_for()
    return RecoverReport(items=items)


def _only_silent(unwell: Unwell, stale_after_s: float) -> bool:
    """Tell whether a run counts as dead only because of its silence."""
    silence = timedelta(seconds=stale_after_s)
    return any(run.state != "CRASHED" and is_dead(run, unwell.at, silence) for run in unwell.runs)

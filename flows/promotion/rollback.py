"""Roll a family back to an earlier latest."""

from catalog.records import Plan, Promotion
from flows.operation import flow_of
from flows.requests import RollBackFamily
from tasks.promotion.rollback import plan_rollback, roll_back


@flow_of(RollBackFamily)
def roll_back_family(request: RollBackFamily) -> Promotion | Plan:
    """Make an image that was promoted before the latest again. Raises FamilyNotFound, InvalidRequest."""
    asked = (request.family, request.cpu_architecture, request.to)
    if request.plan_only:
        return plan_rollback(*asked, request.account)
    return roll_back(*asked, request.reason, request.account)

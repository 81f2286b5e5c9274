"""Apply the rules of families to their builds."""

from catalog.records import LifeCycleReport, Plan
from flows.operation import flow_of
from flows.requests import ApplyLifeCycle
from tasks.promotion import life_cycle as tasks
from tasks.promotion.rollback import leave_unusable


@flow_of(ApplyLifeCycle)
def apply_life_cycle(request: ApplyLifeCycle) -> LifeCycleReport | Plan:
    """Deprecate and delete builds, after rolling back families whose latest can't be used any more.

    Raises FamilyNotFound.
    """
    names = tasks.choose_families(request.families, request.account)
    if request.plan_only:
        actions = tuple(action for name in names for action in tasks.plan_life_cycle(name))
        gone = sum(action.verb == "delete" for action in actions)
        return Plan(operation="apply life cycle", actions=actions, summary=f"{gone} of {len(actions)} builds go")
    rolled_back = leave_unusable()
    images = tuple(item for name in names for item in tasks.apply_life_cycle(name))
    return LifeCycleReport(images=images, rolled_back=rolled_back)

"""Set and delete families."""

from catalog.records import Family, Plan
from flows.operation import flow_of
from flows.requests import DeleteFamily, SetFamily
from tasks.promotion import family as tasks

NOT_FIELDS = {"account", "plan_only"}


@flow_of(SetFamily)
def set_family(request: SetFamily) -> Family | Plan:
    """Make a family, or change its rules. Idempotent. Raises InvalidRequest, StorageNotFound."""
    asked = request.model_dump(exclude=NOT_FIELDS)
    return (tasks.plan_family if request.plan_only else tasks.set_family)(asked, request.account)


@flow_of(DeleteFamily)
def delete_family(request: DeleteFamily) -> Family | Plan:
    """Delete a family with what it promoted; its images stay. Raises FamilyNotFound."""
    return (tasks.plan_deletion if request.plan_only else tasks.delete_family)(request.name, request.account)

"""Set and delete watches."""

from catalog.records import Plan, Watch
from flows.operation import flow_of
from flows.requests import DeleteWatch, SetWatch
from tasks.promotion import watch as tasks

NOT_FIELDS = {"account", "plan_only"}


@flow_of(SetWatch)
def set_watch(request: SetWatch) -> Watch | Plan:
    """Watch where a publisher puts the builds of a family. Raises InvalidRequest, FamilyNotFound."""
    asked = request.model_dump(exclude=NOT_FIELDS)
    return (tasks.plan_watch if request.plan_only else tasks.set_watch)(asked, request.account)


@flow_of(DeleteWatch)
def delete_watch(request: DeleteWatch) -> Watch | Plan:
    """Watch something no longer; what it brought stays. Raises WatchNotFound."""
    return (tasks.plan_deletion if request.plan_only else tasks.delete_watch)(request.name, request.account)

"""Route each flow to the host that reaches the bytes it needs, where several hosts share a catalog."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from prefect.client.orchestration import get_client
from pydantic import BaseModel

from catalog.errors import ImagewrightError, StorageElsewhere
from catalog.records import Action, CleanupReport, ItemOutcome, Plan, QualityCheck, QualityReport, RunOutcome
from catalog.settings import Settings
from tasks.hosts.beat import is_draining
from tasks.hosts.handover import handed_over, part_handed, put_back, this_run, was_handed_over
from tasks.hosts.outcomes import Result, error_text, result_text
from tasks.hosts.places import AS_FAR_AS_CAN_BE
from tasks.hosts.routing import Route, route_of
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.runs import handed as handed_runs
from tasks.runtime.runs.waiting import Waiting

T = TypeVar("T")
ALSO_WHEN_DRAINING = ("drain-host", "resume-host")


def on_its_host(
    deployment: str, bytes_at: str, request: BaseModel, settings: Settings, work: Callable[[], T]
) -> T | Result:
    """Do the work here or on the host that reaches the bytes it needs, and return its result.

    deployment: name of the flow and its deployment; bytes_at: from the operation's row. A run that turns out halfway to
    need another host's directory is handed over too, once. Raises HostAway, StorageElsewhere and the work's own errors.
    """
    here, waiting = settings.host_name, Waiting(getattr(request, "patience_s", None))
    # an unavailable catalog is waited for here just as the work itself would wait
    draining, route = waiting.through(lambda: (is_draining(settings), route_of(bytes_at, request, settings)))
    if draining and deployment not in ALSO_WHEN_DRAINING:
        put_back(f"another host: {here!r} is being drained")
    if was_handed_over():
        if route.host is not None:
            put_back(f"host {route.host!r}: a worker of {here!r} took this run from its queue")
        return _for_another(work)
    if route.host is not None:
        try:
            return handed_over(deployment, request, route)
        except StorageElsewhere:  # no Prefect server to ask the host through
            if bytes_at not in AS_FAR_AS_CAN_BE:
                raise
    parts = _parts(deployment, request, route)
    try:
        return _with_parts(work(), parts)
    except StorageElsewhere as error:
        found = Route(error.host, "", f"{error.kind} {error.storage} is on {error.host}", error.kind, error.storage)
        return handed_over(deployment, request, found)


def _for_another(work: Callable[[], T]) -> T:
    """Do the work and store its outcome for the waiting run; a run that is rescheduled stores nothing yet."""
    try:
        result = work()
    except ImagewrightError as error:
        _leave({"error": error_text(error)})
        raise
    _leave({"result": result_text(result)})
    return result


def _leave(said: Mapping[str, str]) -> None:
    run = this_run()
    if run is None or not any(tag.startswith(handed_runs.FOR) for tag in run.tags):
        return
    Waiting(None).through(lambda: _save(str(run.id), said))
    with get_client(sync_client=True) as client:
        handed_runs.wake(client, run)


def _save(run_id: str, said: Mapping[str, str]) -> None:
    with open_resources() as (_, catalog), changing(catalog, "system") as change:
        change.save_run_outcome(RunOutcome.model_validate({"run_id": run_id, "created_at": change.now(), **said}))


def _parts(deployment: str, request: BaseModel, route: Route) -> dict[str, str]:
    """Start the other hosts' parts; return a sentence about each, by host."""
    if getattr(request, "plan_only", False):
        return {host: f"it does its own part; its plan is asked for with host {host}" for host in route.parts}
    return {host: part_handed(deployment, request, host) for host in route.parts}


def _with_parts(result: T, parts: Mapping[str, str]) -> T:
    """Return the report extended by the hosts that do their own parts."""
    if isinstance(result, CleanupReport):
        items = (ItemOutcome(subject=f"host:{host}", outcome="pending", reason=why) for host, why in parts.items())
        return result.model_copy(update={"items": (*result.items, *items)})
    if isinstance(result, Plan):
        actions = (Action(verb="hand over", subject=f"host:{host}", reason=why) for host, why in parts.items())
        return result.model_copy(update={"actions": (*result.actions, *actions)})
    if isinstance(result, QualityReport):
        checks = (QualityCheck(name=f"host:{host}", success=True, sentence=why) for host, why in parts.items())
        return result.model_copy(update={"checks": (*result.checks, *checks)})
    return result

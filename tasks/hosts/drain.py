"""Drain and resume a host. A draining host finishes its runs and takes no new ones until it is resumed."""

from catalog.records import Action, Host, HostState, ImageStorage, Plan, PrimaryStorage
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.storages.hosts import bound_to
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task


@task(task_run_name="set host {name} {state}", **retrying())
def set_host_state(name: str, state: HostState, account: str) -> Host:
    """Set the host's state and return the host. Idempotent. Raises HostNotFound, AccessDenied."""
    require_admin(account, _operation(state))
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        return change.set_host_state(name, state)


@task(task_run_name="plan to set host {name} {state}", **retrying())
def plan_host_state(name: str, state: HostState, account: str) -> Plan:
    """Return whether the state would change, and which storages would be out of reach meanwhile. Changes nothing."""
    require_admin(account, _operation(state))
    with open_resources() as (_, catalog):
        known = catalog.host(name)
        storages: list[ImageStorage | PrimaryStorage] = [*catalog.image_storages(), *catalog.primary_storages()]
        waiting = [storage.name for storage in storages if bound_to(storage) == name]
    action = Action(verb="set state", subject=f"host:{name}", reason=f"{known.state} → {state}")
    changes = (known.state == "Draining") != (state == "Draining")
    summary = f"{name}: {state}; only it reaches {', '.join(waiting) or 'nothing'}"
    return Plan(operation=_operation(state), actions=(action,) if changes else (), summary=summary)


def _operation(state: HostState) -> str:
    return "drain a host" if state == "Draining" else "resume a host"

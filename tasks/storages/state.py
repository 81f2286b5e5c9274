"""Enable or disable an image storage, and note whether it answers."""

from contextlib import suppress

from catalog.errors import ImagewrightError
from catalog.log import events
from catalog.records import Action, Connection, ImageStorage, Plan, State
from catalog.rules.accounts.sharing import require_admin
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

OPERATION = "set the state of an image storage"


@task(task_run_name="set {name} {state}", **retrying())
def set_storage_state(name: str, state: State, account: str) -> ImageStorage:
    """Set the storage's state and return the storage. Idempotent. A disabled storage is neither written nor read.

    Also checks whether it answers. Raises StorageNotFound, InvalidRequest unless the account is admin.
    """
    require_admin(account, OPERATION)
    with open_resources() as (settings, catalog):
        record = catalog.image_storage(name).model_copy(update={"state": "Enabled"})
        connection: Connection = "Disconnected"
        with suppress(ImagewrightError):  # the state is set all the same; `connection` says the rest
            open_image_storage(record, settings).check()
            connection = "Connected"
        with changing(catalog, account) as change:
            known = change.image_storage(name)
            after = known.model_copy(update={"state": state, "connection": connection})
            if after != known:
                event = events.IMAGE_STORAGE_ENABLED if state == "Enabled" else events.IMAGE_STORAGE_DISABLED
                change.save_image_storage(after, event)
    return after


@task(task_run_name="plan to set {name} {state}", **retrying())
def plan_storage_state(name: str, state: State, account: str) -> Plan:
    """Return whether the state would change. Changes nothing."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        known = catalog.image_storage(name)
    action = Action(verb="set state", subject=f"image_storage:{name}", reason=f"{known.state} → {state}")
    return Plan(operation=OPERATION, actions=(action,) if known.state != state else (), summary=f"{name}: {state}")
